/*
 * The gate, its rebuild from the ledger and its agents: docs/internals/protocol.md, "The gate", "Hydration" and
 * "The outbox and the agents". What it covers and how to run it: docs/internals/model.md.
 *
 * Users claim through a gate that may lose everything at any step, or fall back to an earlier state (a failover's lost
 * tail). Two instances rebuild it page by page, one coupon a page. Meanwhile claims commit, the relay confirms and
 * settles, the reaper resolves reservations and the reconciler compares. Each script is one step, each statement of
 * the ledger is one step, a group commit is one step (doubt.pml takes that apart). Anything may happen between two
 * steps.
 *
 * The lease is left out: any rebuilder may begin whenever the gate is cold, as if every lease had run out. A token is
 * the least number that no process remembers: two UUIDs are never equal, and this keeps the model finite.
 *
 * Mutants, each of which the checker must find (-D...): see test/model/spin.ts
 */
#ifndef USERS
#define USERS 2
#endif
#ifndef LIMIT
#define LIMIT 1
#endif
/* Claims in all; claim k is of user k % USERS, so with more claims than users a user has several at once. */
#ifndef CLAIMS
#define CLAIMS 3
#endif
/* Losses of the whole memory, or of the issued set alone; of the latest writes (0 or 1). */
#ifndef FLUSHES
#define FLUSHES 1
#endif
#ifndef TAILS
#define TAILS 0
#endif
/* Claims whose instance dies, or whose commit ends as UNAVAILABLE; relays that die; comparisons while others work. */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef RELAY_DEATHS
#define RELAY_DEATHS 1
#endif
#ifndef RECONCILES
#define RECONCILES 1
#endif
/* Claims that Redis does not answer; reservations swept although their claim lives. */
#ifndef AWAY
#define AWAY 1
#endif
#ifndef SWEEPS
#define SWEEPS 1
#endif
/* Coupons issued and settled before the model begins, to the first users; claim 0 is then a holder's. */
#ifndef SOLD
#define SOLD 0
#endif
/* Changes of the campaign's terms, which the relay brings to the gate (0 or 1). */
#ifndef CHANGES
#define CHANGES 0
#endif

#define NO_USER 15
#define NONE 0

/* ---- The ledger. Coupon ids are 1, 2, ... in the order of commit. */
byte issued = 0
byte holder[LIMIT + 1] = NO_USER
byte holders = 0               /* the same as a set of users, a bit each */
byte outbox = 0                /* coupons not settled yet, a bit each */
byte version = 1
bool changed = false           /* a CHANGED row */

/* ---- The gate: keys m (generation to gateVersion), i (members, sentinel), p, e. */
byte generation = NONE
bool hydratedFlag = false
byte cursor = 0
byte gateVersion = 0
byte members = 0
bool sentinel = false
byte pending[USERS] = NONE     /* the nonce of a reservation: the claim's number + 1 */
byte events = 0                /* users whose event is in the stream */

/* Whether a hydration's set is still the one that it began to feed. */
#ifdef SENTINEL_LAST
#define unbroken true
#else
#define unbroken sentinel
#endif

#ifdef NO_SENTINEL
#define hydrated (generation != NONE && hydratedFlag)
#else
#define hydrated (generation != NONE && hydratedFlag && sentinel)
#endif

/* ---- The snapshot that a failover falls back to. */
byte tails = 0
bool taken = false
byte oldGeneration = NONE
bool oldHydrated = false
byte oldCursor = 0
byte oldVersion = 0
byte oldMembers = 0
bool oldSentinel = false
byte oldPending[USERS] = NONE
byte oldEvents = 0

/* ---- Who remembers which token: a rebuilder each, the reconciler. */
byte token[2] = NONE
byte compared = NONE

/* ---- History for the properties. */
byte deaths = 0
byte relayDeaths = 0
byte reconciles = 0
byte away = 0
byte sweeps = 0
byte claims = CLAIMS           /* not over yet */
bool faultsOver = false
bool lost = false              /* a tail was lost, and no rebuild has begun since */
bool everLost = false
byte live[USERS] = NONE        /* the reservation of a claim that still counts on it */
bool agreed = false            /* the last comparison, at rest, found nothing */
bool relayIdle = true
bool reaperIdle = true

#define has(set, u) (((set) >> (u)) & 1)
#define bit(u) (1 << (u))

byte x = 0                     /* scratch of consistent(): 0 between steps */
byte unrelayed = 0

/* Holds between any two steps. */
inline consistent() {
  assert((members & holders) == members);                                /* G1 */
  x = 1;
  unrelayed = 0;
  do
  :: x <= issued -> if :: has(outbox, x) -> unrelayed = unrelayed | bit(holder[x]) :: else fi; x++
  :: else -> break
  od;
  assert(!hydrated || lost || ((holders & ~unrelayed) & ~members) == 0); /* G2 */
  assert((members & ~events) == 0);                                      /* I10: each member has an event */
  assert(!hydrated || lost || changed || gateVersion == version);        /* the gate knows the terms */
  assert(issued <= LIMIT);
  unrelayed = 0;
  x = 0
}

/* ---- Scripts. */
inline count(set, n) {
  n = 0;
  x = 0;
  do
  :: x < USERS -> n = n + has(set, x); x++
  :: else -> break
  od;
  x = 0
}

inline confirm(u) {
#ifdef EVENT_IF_ADDED
  if :: !has(members, u) -> events = events | bit(u) :: else fi;
#else
  events = events | bit(u);
#endif
  members = members | bit(u);
  pending[u] = NONE;
  live[u] = NONE
}

/* G7: what is not the caller's stays. */
inline release(u, nonce) {
#ifdef RELEASE_ANY
  pending[u] = NONE;
#else
  if :: pending[u] == nonce -> pending[u] = NONE :: else fi;
#endif
  assert(live[u] == NONE || pending[u] == live[u])
}

inline forget() {
  generation = NONE; hydratedFlag = false; cursor = 0; gateVersion = 0;
  members = 0; sentinel = false; events = 0;
  x = 0;
  do :: x < USERS -> pending[x] = NONE; live[x] = NONE; x++ :: else -> break od;
  x = 0
}

inline configure(v) {
  if :: generation != NONE && gateVersion < v -> gateVersion = v :: else fi
}

/* ---- A claim: IssueCoupon and GroupCommit. Answers are checked where they are given. */
#define R_COLD 1
#define R_ALREADY 2
#define R_PENDING 3
#define R_SOLD_OUT 4
#define R_FULL 5
#define R_RESERVED 6

bool latched = false           /* an instance that heard SOLD_OUT asks `check` first */

inline room(u, nonce) {
  count(members, n);
  p = 0;
  x = 0;
  do :: x < USERS -> if :: pending[x] != NONE -> p++ :: else fi; x++ :: else -> break od;
  x = 0;
  if
  :: !hydrated -> answer = R_COLD
  :: hydrated && has(members, u) -> answer = R_ALREADY
  :: hydrated && !has(members, u) && pending[u] != NONE -> answer = R_PENDING
  :: hydrated && !has(members, u) && pending[u] == NONE && n >= LIMIT -> answer = R_SOLD_OUT
#ifdef FULL_IS_SOLD_OUT
  :: hydrated && !has(members, u) && pending[u] == NONE && n < LIMIT && n + p >= LIMIT -> answer = R_SOLD_OUT
#else
  :: hydrated && !has(members, u) && pending[u] == NONE && n < LIMIT && n + p >= LIMIT -> answer = R_FULL
#endif
  :: hydrated && !has(members, u) && pending[u] == NONE && n + p < LIMIT ->
    pending[u] = nonce;
    live[u] = nonce;
    answer = R_RESERVED
#ifdef ISSUED_AT_RESERVE
    ; members = members | bit(u); events = events | bit(u)
#endif
  fi;
  n = 0;
  p = 0
}

/* `check`: only a hydrated gate whose set reaches the limit says so, and to no member. */
inline check(u) {
  count(members, n);
#ifdef LATCH_TRUSTED
  if
  :: !has(members, u) -> answer = R_SOLD_OUT
#else
  if
  :: hydrated && n >= LIMIT && !has(members, u) -> answer = R_SOLD_OUT
#endif
  :: else -> answer = NONE
  fi;
  n = 0
}

proctype Claim(byte k; byte u) {
  byte answer = NONE;
  byte slot = NONE;
  byte n = 0;
  byte p = 0;

end:
  if
  :: d_step { latched -> check(u) };
    if
    :: answer == R_SOLD_OUT
    :: else -> goto reserve
    fi
  :: !latched ->
reserve:
    atomic { d_step { room(u, k + 1) }; answer != NONE; d_step { consistent() } }
  :: d_step { away < AWAY -> away++ }                                    /* Redis is away: the ledger decides alone */
  fi;

  if
  :: answer == R_SOLD_OUT ->
    d_step {
      assert(!has(holders, u));                                          /* I8b */
      assert(issued == LIMIT);                                           /* I8: no claim is answered OK after this */
      latched = true
    };
    goto done
  :: answer == R_ALREADY -> assert(has(holders, u)); goto done
  /* Tentative: asks again later, which is another claim; or receives OVERLOADED, UNAVAILABLE. */
  :: answer == R_FULL || answer == R_COLD -> goto done
  /* The slot that is held counts for the user. */
  :: answer == R_PENDING || answer == NONE -> skip
  :: answer == R_RESERVED -> slot = k + 1; latched = false
  fi;
  answer = NONE;

  if
  /* The group commit. */
  :: d_step {
      if
      :: !has(holders, u) && issued < LIMIT ->
        issued++;
        holder[issued] = u;
        holders = holders | bit(u);
        outbox = outbox | bit(issued);
        slot = NONE;                                                     /* confirmed by the relay */
        consistent()
      :: else
      fi
    }
  /* The instance dies before the commit: its slot stays. Or just after it, which is the same as an answer. */
  :: d_step { deaths < DEATHS -> deaths++; slot = NONE; if :: live[u] == k + 1 -> live[u] = NONE :: else fi }
  /* UNAVAILABLE: proven or resolved not to have happened. */
  :: d_step { deaths < DEATHS -> deaths++ }
  fi;
  /* Refused: the slot is given back, in the background. */
  if
  :: slot != NONE -> d_step { if :: live[u] == slot -> live[u] = NONE :: else fi; release(u, slot); slot = NONE }
  :: else
  fi;
done:
  atomic { answer = NONE; slot = NONE; claims-- }
}

/* ---- The relay. Rows stay locked while they are published; if it dies they come back. */
active proctype Relay() {
  byte c = 0;
end:
  do
  :: atomic {
      if
      :: has(outbox, 1) -> c = 1
#if LIMIT > 1
      :: has(outbox, 2) -> c = 2
#endif
#if LIMIT > 2
      :: has(outbox, 3) -> c = 3
#endif
      fi;
      relayIdle = false
    };
    if
    /* Given up, and its confirm arrives late. */
    :: d_step { relayDeaths < RELAY_DEATHS -> relayDeaths++ };
      d_step { confirm(holder[c]); consistent() }
    :: true ->
#ifdef SETTLE_FIRST
      d_step { outbox = outbox & ~bit(c); consistent() };
#endif
      d_step { confirm(holder[c]); consistent() };
      d_step { outbox = outbox & ~bit(c); consistent() }
    fi;
    d_step { c = 0; relayIdle = true }
#if CHANGES > 0
  :: atomic { changed -> relayIdle = false; c = version };
    d_step { configure(c); consistent() };
    d_step { changed = false; consistent(); c = 0; relayIdle = true }
#endif
  od
}

/* ---- The reaper. It may look at any reservation: 10 s may have passed for a claim that is merely slow. */
#ifndef NO_REAPER
active proctype Reaper() {
  byte u = 0;
  byte value = NONE;
  bool holds = false;
end:
  do
  :: atomic {
      if
      :: pending[0] != NONE && (live[0] == NONE || sweeps < SWEEPS) -> u = 0
      :: pending[1] != NONE && (live[1] == NONE || sweeps < SWEEPS) -> u = 1
#if USERS > 2
      :: pending[2] != NONE && (live[2] == NONE || sweeps < SWEEPS) -> u = 2
#endif
      fi;
      if :: live[u] != NONE -> sweeps++ :: else fi;
      value = pending[u];
      reaperIdle = false
    };
    holds = has(holders, u);
    d_step {
      if
      :: holds -> confirm(u)
      :: else ->
        if :: live[u] == value -> live[u] = NONE :: else fi;             /* G7: a sweep */
        release(u, value)
      fi;
      consistent();
      value = NONE; holds = false; u = 0; reaperIdle = true
    }
  od
}
#endif

/* ---- A rebuilder an instance. They are alike, so the second one begins only beside the first. */
#if CHANGES > 0
#define mayBegin(me) true
#else
#define mayBegin(me) (me == 0 || token[0] != NONE)
#endif

proctype Rebuilder(byte me) {
  byte terms = 0;
  byte after = 0;      /* the cursor */
  byte page = NO_USER;  /* the user whose coupon the page has */
  byte n = 0;
#ifdef SWAP_IN
  byte aside = 0;
#endif

end:
  do
  :: atomic {
      !hydrated && mayBegin(me) ->
#if CHANGES > 0
      terms = version
    };
    /* hydrateBegin, with the terms just read */
    atomic {
      if
      :: hydrated -> if :: gateVersion < terms -> gateVersion = terms :: else fi; terms = 0; goto ready
      :: else
      fi;
#else
      terms = version;
#endif
      d_step {
        n = 1;
        do
        :: n == generation || n == oldGeneration || n == token[0] || n == token[1] || n == compared -> n++
        :: else -> break
        od;
        token[me] = n;
        n = 0;
        if :: gateVersion < terms -> gateVersion = terms :: else fi;
        terms = 0;
        generation = token[me]; hydratedFlag = false; cursor = 0; lost = false;
#ifdef SENTINEL_LAST
        sentinel = false;
#else
        sentinel = true;
#endif
        consistent()
      }
    };
#if CHANGES > 0
#ifndef TERMS_READ_ONCE
    terms = version;
    d_step { configure(terms); terms = 0; consistent() };
#endif
#endif
    do
    :: atomic {
        after < issued -> page = holder[after + 1]
      };
      /* hydrateChunk */
      atomic {
        d_step {
          if
#ifdef NO_FENCE
          :: true ->
#else
          :: generation == token[me] && cursor == after && unbroken ->
#endif
#ifdef SWAP_IN
            aside = aside | bit(page);
#else
#ifndef EVENT_IF_ADDED
            if :: !has(members, page) -> events = events | bit(page) :: else fi;
#endif
            members = members | bit(page);
#endif
            after++;
            cursor = after
#ifndef NO_FENCE
          :: else -> token[me] = NONE
#endif
          fi;
          page = NO_USER;
          consistent()
        };
        if
        :: token[me] == NONE -> after = 0; goto ready
        :: else
        fi
      }
    :: after == issued -> break
    od;
    skip;
    /* hydrateEnd */
    d_step {
      if
#ifdef NO_FENCE
      :: token[me] != NONE ->
        generation = token[me];
#else
      :: token[me] != NONE && generation == token[me] && cursor == after && unbroken ->
#endif
#ifdef SWAP_IN
        members = aside; events = events | aside;
#endif
#if defined(SENTINEL_LAST) || defined(NO_FENCE)
        sentinel = true;
#endif
        hydratedFlag = true
      :: else
      fi;
      consistent();
      token[me] = NONE; after = 0
#ifdef SWAP_IN
      ; aside = 0
#endif
    };
ready:
    skip
  od
}

/* ---- The reconciler: the gate, the ledger's tally in one statement, the gate again. */
#define atRest (claims == 0 && outbox == 0 && !changed && relayIdle && reaperIdle && faultsOver)

#ifndef NO_RECONCILER
active proctype Reconciler() {
  byte before = 0;
  byte settled = 0;
  byte tally = 0;
  byte n = 0;
  bool rest = false;
  bool isHydrated = false;
#if CHANGES > 0
  bool repair = false;
  byte theirs = 0;     /* the version that the gate had, and the ledger's */
  byte ours = 0;
#endif

end:
  do
  :: atomic {
      if
      :: reconciles < RECONCILES -> reconciles++
      :: atRest && hydrated && !agreed
      fi;
      d_step { rest = atRest; count(members, n); before = n; n = 0 }
    };
#ifdef TALLY_LAST
    d_step { count(members, n); isHydrated = hydrated; compared = generation };
#endif
    d_step {
      tally = issued;
#if CHANGES > 0
      ours = version;
#endif
      settled = 0;
      x = 1;
      do :: x <= issued -> if :: !has(outbox, x) -> settled++ :: else fi; x++ :: else -> break od;
      x = 0
    };
#ifndef TALLY_LAST
    d_step {
      count(members, n); isHydrated = hydrated; compared = generation
#if CHANGES > 0
      ; theirs = gateVersion
#endif
    };
#endif
    d_step {
      if
      :: !isHydrated || compared == NONE                                  /* Cold */
      :: isHydrated && compared != NONE && n < settled ->                 /* Lost */
        assert(everLost);                                                /* no false alarm */
        if
        :: generation == compared -> generation = NONE; hydratedFlag = false; cursor = 0; sentinel = false
        :: else
        fi
      :: isHydrated && compared != NONE && n >= settled ->
        assert(before <= tally);                       /* Ghosts: never, if the ledger is not restored */
#if CHANGES > 0 && !defined(NO_VERSION_CHECK)
        if
        :: theirs < ours -> repair = true                                /* Outdated */
        :: else ->
#endif
        if
        :: rest && generation == compared && hydrated -> agreed = true; assert(members == holders)
        :: else
        fi
#if CHANGES > 0 && !defined(NO_VERSION_CHECK)
        fi
#endif
      fi;
      consistent();
#if CHANGES > 0
      theirs = 0; ours = 0;
#endif
      before = 0; settled = 0; tally = 0; n = 0; rest = false; isHydrated = false; compared = NONE
    }
#if CHANGES > 0
    ;
    if
    :: repair -> ours = version; d_step { configure(ours); ours = 0; repair = false; consistent() }
    :: else
    fi
#endif
  od
}
#endif

/* ---- What happens to Redis. */
active proctype Faults() {
  byte flushes = 0;
end:
  do
  :: d_step { flushes < FLUSHES -> flushes++; forget(); consistent() }
  /* The issued set alone, also in the middle of a hydration. */
  :: d_step {
      flushes < FLUSHES ->
      flushes++;
      members = 0; sentinel = false;
      consistent()
    }
#if TAILS > 0
  :: d_step {
      !taken ->
      taken = true;
      oldGeneration = generation; oldHydrated = hydratedFlag; oldCursor = cursor; oldVersion = gateVersion;
      oldMembers = members; oldSentinel = sentinel; oldEvents = events;
      do :: x < USERS -> oldPending[x] = pending[x]; x++ :: else -> break od;
      x = 0
    }
  :: d_step {
      taken && tails < TAILS ->
      tails++;
      lost = true;
      everLost = true;
      generation = oldGeneration; hydratedFlag = oldHydrated; cursor = oldCursor; gateVersion = oldVersion;
      members = oldMembers; sentinel = oldSentinel; events = oldEvents;
      do :: x < USERS -> pending[x] = oldPending[x]; live[x] = NONE; oldPending[x] = NONE; x++ :: else -> break od;
      x = 0;
      oldGeneration = NONE; oldHydrated = false; oldCursor = 0; oldVersion = 0;
      oldMembers = 0; oldSentinel = false; oldEvents = 0;
      consistent()
    }
#endif
  :: claims == 0 && outbox == 0 && !changed -> break                     /* before, no claim comes */
  od;
  skip;
  d_step { faultsOver = true; flushes = 0 }
}

#if CHANGES > 0
active proctype Operator() {
  d_step { version = 2; changed = true; consistent() }
}
#endif

/* ---- At rest: nothing can move any more (I9). */
active proctype Rest() {
  timeout ->
  d_step {
    assert(claims == 0);
    assert(hydrated);
    assert(members == holders);
    assert((holders & ~events) == 0);
    assert(gateVersion == version);
    assert(outbox == 0 && !changed);
    do :: x < USERS -> assert(pending[x] == NONE); x++ :: else -> break od;
    x = 0
  }
}

init {
  byte k = 0;
  atomic {
    do
    :: k < SOLD -> k++; issued = k; holder[k] = k - 1; holders = holders | bit(k - 1)
    :: else -> break
    od;
    k = 0;
    run Rebuilder(0);
    run Rebuilder(1);
    do
    :: k < CLAIMS -> run Claim(k, k % USERS); k++
    :: else -> break
    od;
    k = 0
  }
}

/*
 * A group commit whose outcome is in doubt: docs/internals/protocol.md, "The transaction" and "In doubt".
 * What it covers and how to run it: docs/internals/model.md.
 *
 * Two instances commit batches of claims, each one batch at a time; users may ask again after an answer that nothing
 * was issued. A connection may die at any step, the bytes of a transaction may arrive at any later time or never, the
 * server may abort a transaction at any statement, an instance may die.
 *
 * The text of a transaction is the five steps of proctype Transaction. Only the transaction itself sees what it has not
 * committed. It waits for the lock of the campaign's row, and for the marker's key if another open transaction has it.
 *
 * Mutants, each of which the checker must find (-D...): see test/model/spin.ts
 */
#ifndef USERS
#define USERS 2
#endif
#ifndef LIMIT
#define LIMIT 1
#endif
/* Batches in all; batch b belongs to instance b % 2. */
#ifndef BATCHES
#define BATCHES 3
#endif
/* Connections that die, transactions that the server aborts, relays that die: at most so many each. */
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef ABORTS
#define ABORTS 1
#endif
#ifndef RELAY_DEATHS
#define RELAY_DEATHS 1
#endif
/* Texts of one batch: the first and those after an error that proves that nothing was committed. */
#define SENDS 2

#define NONE 255
#define ISSUED 1
#define VOID 2

/* ---- The ledger: what is committed, and who holds which lock. A transaction is batch * SENDS + send. */
byte counter = 0
byte coupons[USERS] = 0        /* how many the user holds */
byte code[USERS] = NONE      /* the batch whose code the user's coupon carries: a batch draws one code a user */
byte marker[BATCHES] = 0       /* outbox row under the batch id */
byte rowLock = NONE
byte keyLock[BATCHES] = NONE /* open transaction that inserted the marker, or the relay, which is to delete it */
#define RELAY 254

/* ---- The network between instance and database, a text. */
bool sent[BATCHES * SENDS] = false    /* its bytes are under way, or it is being executed */
bool dead[BATCHES * SENDS] = false    /* the instance has lost this connection */
byte reply[BATCHES * SENDS] = 0
#define COMMITTED 1
#define ROLLED_BACK 2

bool lateVoid[BATCHES] = false        /* a VOID whose bytes are under way although the resolver gave it up */

byte deaths = 0
byte aborts = 0
byte relayDeaths = 0

/* ---- What was said, and what has happened: history for the properties. */
byte claims[BATCHES] = 0       /* set of users, a bit each */
byte nothing[BATCHES] = 0      /* users that received: this batch issued nothing and never will */
byte oks[USERS] = 0
byte events = 0                /* users whose event was published */
byte workers = 2               /* instances that have not ended */

#define has(set, u) (((set) >> (u)) & 1)
#define waits(b) (marker[b] == ISSUED)
#define takeable(b) (marker[b] == ISSUED && keyLock[b] == NONE)

/* Holds between any two steps of committed state. */
inline consistent() {
  assert(counter <= LIMIT);                                              /* I1 */
  held = 0;
  v = 0;
  do
  :: v < USERS ->
    assert(coupons[v] <= 1);                                             /* I3 */
    held = held + coupons[v];
    assert(coupons[v] == 0 || has(events, v) || waits(code[v]));         /* I10: published, or the outbox will */
    assert(coupons[v] == 0 || !has(nothing[code[v]], v));                /* I6 */
    v++
  :: else -> break
  od;
  assert(held == counter);                                               /* I2 */
  held = 0;
  v = 0
}

/* ---- One text in the server: it begins when its bytes arrive, and goes on although its client is gone. */
proctype Transaction(byte b; byte t) {
  byte mine = 0;      /* users that it inserted */
  byte n = 0;         /* how many it counts as inserted */
  byte v = 0;
  byte held = 0;
  bool aborted = false;

end:
  if
  /* 1. The campaign's row. 2. The coupons: set logic, in the order of arrival. What others committed is seen. No other
   *    transaction can insert or commit while the row is locked, so both are one step. */
#ifdef NO_ROW_LOCK
  :: d_step { sent[t] ->
#else
  :: d_step { sent[t] && rowLock == NONE -> rowLock = t;
#endif
      do
      :: v < USERS ->
        if
        :: has(claims[b], v) && coupons[v] == 0 && counter + n < LIMIT -> mine = mine | (1 << v); n++
        :: else
        fi;
        v++
      :: else -> break
      od;
      v = 0;
#ifdef ROW_COUNT_LIES
      if :: dead[t] -> n = 0 :: else fi
#endif
    }
  :: d_step { sent[t] && dead[t] -> sent[t] = false; dead[t] = false };   /* the bytes were lost */
    goto over
  fi;

  /* 3. The counter changes under the row's lock, unseen until COMMIT. 4. The marker, whose key may be locked. */
#ifndef MARKER_AFTER_COMMIT
  if
  :: n == 0
  :: d_step { n > 0 && keyLock[b] == NONE && marker[b] == 0 -> keyLock[b] = t }
#ifdef MARKER_IGNORED
  :: d_step { n > 0 && keyLock[b] == NONE && marker[b] != 0 -> keyLock[b] = t }
#else
  :: n > 0 && keyLock[b] == NONE && marker[b] != 0 -> aborted = true    /* duplicate key: the text ends here */
#endif
  :: d_step { aborts < ABORTS -> aborts++; aborted = true }               /* a lock timeout, a killed session, … */
  fi;
  if
  :: aborted -> goto rollback
  :: else
  fi;
#endif
  if
  :: skip
  :: d_step { aborts < ABORTS -> aborts++; aborted = true };
    goto rollback
  fi;

  /* 5. COMMIT, and its reply if anybody still listens. */
  d_step {
    do
    :: v < USERS ->
      if
      :: has(mine, v) -> coupons[v]++; code[v] = b
      :: else
      fi;
      v++
    :: else -> break
    od;
    v = 0;
    counter = counter + n;
    if :: rowLock == t -> rowLock = NONE :: else fi;
#ifndef MARKER_AFTER_COMMIT
    if
    :: keyLock[b] == t -> marker[b] = ISSUED; keyLock[b] = NONE
    :: else
    fi;
    consistent();
#endif
    mine = 0
  };
#ifdef MARKER_AFTER_COMMIT
  d_step {
    if
    :: n > 0 && marker[b] == 0 -> marker[b] = ISSUED
    :: else
    fi;
    consistent()
  };
#endif
  d_step { if :: !dead[t] -> reply[t] = COMMITTED :: else fi; sent[t] = false; dead[t] = false; n = 0 };
  goto over;

rollback:
  skip;
  /* The instance's ROLLBACK, or the server's own when it notices that the connection is gone. */
  d_step {
    if :: rowLock == t -> rowLock = NONE :: else fi;
    if :: keyLock[b] == t -> keyLock[b] = NONE :: else fi;
    if :: !dead[t] -> reply[t] = ROLLED_BACK :: else fi;
    mine = 0; n = 0; aborted = false; sent[t] = false; dead[t] = false
  };
over:
  skip
}

/* ---- One instance: GroupCommit and MySqlLedger. */
proctype Instance(byte me) {
  byte b = me;
  byte send = 0;
  byte t = 0;
  byte u = 0;
  byte found[USERS] = NONE;    /* codes that the resolver read */

  do
  :: b < BATCHES ->
    /* Any users claim; in one instance a user has one claim at a time (UserFlights). */
    atomic {
      u = 0;
      do
      :: u < USERS -> if :: claims[b] = claims[b] | (1 << u) :: skip fi; u++
      :: else -> break
      od;
      u = 0;
      send = 0
    };
    if
    :: claims[b] == 0 -> goto next
    :: else
    fi;
again:
    atomic { t = b * SENDS + send; sent[t] = true };
    if
    :: d_step { reply[t] == COMMITTED -> reply[t] = 0 };
      goto committed
    :: d_step { reply[t] == ROLLED_BACK -> reply[t] = 0 };
      /* Retry, as far as sends remain; or Refused. */
      if
      :: send + 1 < SENDS -> send++; goto again
      :: goto failed
      fi
    :: d_step { deaths < DEATHS -> deaths++; dead[t] = sent[t]; reply[t] = 0 }
    fi;

    /* In doubt. */
#ifdef RETRY_IN_DOUBT
    if
    :: send + 1 < SENDS -> send++; goto again
    :: else
    fi;
#endif
#ifdef DOUBT_IS_FAILURE
    goto failed;
#endif
    if
    :: skip
    :: goto died                                                         /* the instance, no user was answered */
    fi;
#ifdef READ_BEFORE_VOID
    d_step { u = 0; do :: u < USERS -> found[u] = code[u]; u++ :: else -> break od; u = 0 };
#endif
#ifndef NO_VOID
    /* Insert VOID; its own connection may die too: applied or not, it is sent again. */
    do
    :: atomic {
        keyLock[b] == NONE ->
        if
        :: marker[b] == 0 -> marker[b] = VOID
        :: else
        fi
      };
      if
      :: break
      :: atomic { deaths < DEATHS -> deaths++ }
      fi
    :: atomic { deaths < DEATHS -> deaths++; if :: lateVoid[b] = true :: skip fi }
    od;
    skip;
#endif
#ifndef READ_BEFORE_VOID
    d_step { u = 0; do :: u < USERS -> found[u] = code[u]; u++ :: else -> break od; u = 0 };
#endif
    d_step {
      do
      :: u < USERS ->
        if
        :: has(claims[b], u) && found[u] == b -> oks[u]++; assert(coupons[u] == 1 && code[u] == b)      /* I4 */
        :: has(claims[b], u) && found[u] == NONE -> nothing[b] = nothing[b] | (1 << u)
        :: has(claims[b], u) && found[u] != b && found[u] != NONE ->
          nothing[b] = nothing[b] | (1 << u)                             /* already claimed: not by this batch, ever */
        :: else
        fi;
        assert(!has(nothing[b], u) || code[u] != b);                     /* I6 */
        assert(oks[u] <= 1);                                             /* I5 */
        found[u] = NONE;
        u++
      :: else -> break
      od;
      u = 0
    };
    goto next;

committed:
    skip;
    /* Verdicts by the codes after the commit; who holds none although the commit went through, was too late. */
    d_step {
      do
      :: u < USERS ->
        if
        :: has(claims[b], u) && code[u] == b -> oks[u]++; assert(oks[u] <= 1)
        :: has(claims[b], u) && code[u] == NONE -> assert(counter == LIMIT); nothing[b] = nothing[b] | (1 << u)
        :: has(claims[b], u) && code[u] != b && code[u] != NONE -> nothing[b] = nothing[b] | (1 << u)
        :: else
        fi;
        u++
      :: else -> break
      od;
      u = 0
    };
    goto next;

failed:
    skip;
    /* UNAVAILABLE: nothing was issued and never will be. */
    d_step {
      do
      :: u < USERS ->
        if
        :: has(claims[b], u) -> nothing[b] = nothing[b] | (1 << u); assert(code[u] != b)
        :: else
        fi;
        u++
      :: else -> break
      od;
      u = 0
    };

next:
    skip;
    d_step { b = b + 2; send = 0; t = 0 }
  :: else -> break
  od;
died:
  skip;
  d_step { workers--; b = 0; send = 0; t = 0 }
}

/* ---- The relays of all instances: the holder of the row publishes and deletes it. */
active proctype Relay() {
  byte b = 0;
  byte v = 0;
  byte held = 0;
end:
  do
  :: atomic {                                                            /* SKIP LOCKED, in any order */
      if
      :: takeable(0) -> b = 0
      :: takeable(1) -> b = 1
#if BATCHES > 2
      :: takeable(2) -> b = 2
#endif
#if BATCHES > 3
      :: takeable(3) -> b = 3
#endif
      fi;
      keyLock[b] = RELAY
    };
#ifdef SETTLE_FIRST
    d_step { marker[b] = 0; keyLock[b] = NONE; consistent() };
#endif
    d_step {
      do
      :: v < USERS -> if :: coupons[v] > 0 && code[v] == b -> events = events | (1 << v) :: else fi; v++
      :: else -> break
      od;
      v = 0
    };
    if
    :: d_step { marker[b] = 0; keyLock[b] = NONE; consistent(); b = 0 }
    :: d_step { relayDeaths < RELAY_DEATHS -> relayDeaths++; keyLock[b] = NONE; b = 0 }
    fi
  od
}

active proctype LateVoid() {
  byte b = 0;
end:
  do
  :: lateVoid[0] -> b = 0; goto arrived
  :: lateVoid[1] -> b = 1; goto arrived
#if BATCHES > 2
  :: lateVoid[2] -> b = 2; goto arrived
#endif
#if BATCHES > 3
  :: lateVoid[3] -> b = 3; goto arrived
#endif
  od;
arrived:
  atomic {
    keyLock[b] == NONE ->
    if
    :: marker[b] == 0 -> marker[b] = VOID
    :: else
    fi;
    lateVoid[b] = false;
    b = 0
  };
  goto end
}

#ifdef VOID_PURGED
/* VOID rows are deleted while a zombie may still arrive: what the hour is for. */
active proctype Purge() {
  byte b = 0;
end:
  do
  :: atomic { b < BATCHES && marker[b] == VOID -> marker[b] = 0; b = 0 }
  :: atomic { b < BATCHES -> b++ }
  :: atomic { b == BATCHES -> b = 0 }
  od
}
#endif

/* ---- At rest: nothing can move any more. */
active proctype Rest() {
  byte u = 0;
  byte b = 0;
  timeout ->
  d_step {
    assert(workers == 0);                                                /* no claim waits for ever */
    assert(rowLock == NONE);
    do
    :: u < USERS -> assert(coupons[u] == 0 || has(events, u)); u++       /* I10 */
    :: else -> break
    od;
    do
    :: b < BATCHES -> assert(marker[b] != ISSUED && keyLock[b] == NONE); b++
    :: else -> break
    od
  }
}

init {
  byte b = 0;
  byte send = 0;
  atomic {
    run Instance(0);
    run Instance(1);
    do
    :: b < BATCHES ->
      do
      :: send < SENDS -> run Transaction(b, b * SENDS + send); send++
      :: else -> break
      od;
      send = 0;
      b++
    :: else -> break
    od;
    b = 0
  }
}

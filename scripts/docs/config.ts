// VitePress's settings. Nothing is loaded from other hosts: no web font, no CDN, and the search is local.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { defineConfig, type DefaultTheme } from "vitepress"
import { anchor, koreanOf, root } from "./Pages.ts"
import { shelves } from "./Shelves.ts"

const english = "docs/README.md"
const korean = existsSync(join(root, koreanOf(english))) ? koreanOf(english) : english

const sidebar = (index: string, first: ReadonlyArray<DefaultTheme.SidebarItem>, api: string) => [
  ...first,
  ...shelves(index).map(({ items, text }) => ({
    text,
    items: items.flatMap((item) => item.link.endsWith("/reference/api") ? [item, { text: api, link: openApi }] : [item])
  }))
]
const openApi = "/reference/openapi"

export default defineConfig({
  title: "coupon-issuance",
  description: "Coupons first come, first served, exactly.",
  outDir: join(root, "dist/docs"),
  cacheDir: join(root, ".cache/vitepress"),
  ignoreDeadLinks: false,
  lastUpdated: false,
  markdown: {
    // What looks like a tag is text.
    html: false,
    // Anchors as on GitHub, which the links of the pages use.
    anchor: { slugify: anchor },
    toc: { slugify: anchor },
    languageAlias: { redis: "sh" }
  },
  vite: { server: { host: "127.0.0.1" }, preview: { host: "127.0.0.1" } },
  locales: {
    root: {
      label: "English",
      lang: "en-US",
      themeConfig: {
        sidebar: sidebar(english, [{ text: "Overview", link: "/" }], "Calls and fields"),
        nav: [{ text: "Contents", link: "/contents" }, { text: "API", link: openApi }]
      }
    },
    ko: {
      label: "한국어",
      lang: "ko-KR",
      description: "선착순 쿠폰을 정확하게 발급합니다.",
      themeConfig: {
        sidebar: sidebar(korean, [{ text: "소개", link: "/ko/" }], "호출과 필드 (영어)"),
        nav: [{ text: "목차", link: "/ko/contents" }, { text: "API (영어)", link: openApi }],
        outline: { label: "이 페이지에서" },
        docFooter: { prev: "이전", next: "다음" },
        darkModeSwitchLabel: "테마",
        lightModeSwitchTitle: "밝은 테마로",
        darkModeSwitchTitle: "어두운 테마로",
        sidebarMenuLabel: "메뉴",
        returnToTopLabel: "맨 위로",
        langMenuLabel: "언어",
        skipToContentLabel: "본문으로 이동"
      }
    }
  },
  themeConfig: {
    search: {
      provider: "local",
      options: {
        locales: {
          ko: {
            translations: {
              button: { buttonText: "검색", buttonAriaLabel: "검색" },
              modal: {
                displayDetails: "자세히 보기",
                resetButtonTitle: "지우기",
                backButtonTitle: "닫기",
                noResultsText: "검색 결과가 없습니다:",
                footer: { selectText: "선택", navigateText: "이동", closeText: "닫기" }
              }
            }
          }
        }
      }
    }
  }
})

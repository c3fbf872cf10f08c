// Live pages without jumping, and the keys. Everything here is an extra: with no JavaScript each page still works.
//
// A live region is `<div id=… data-live hx-get=… hx-trigger="every 5s" hx-swap="outerHTML" data-rows="…">`. htmx's own
// polling filters need eval, which the CSP forbids, so the guards stand here: not while the page is hidden, not while
// paused, not over a region that holds focus or ticked boxes, and no row moves under the cursor.
(() => {
  "use strict";

  const live = document.getElementById("live");
  const words = live && live.querySelector("[data-live-words]");
  const pauseButton = live && live.querySelector("[data-pause]");
  const held = new Map(); // region id -> the answer that waits for a click
  let paused = false;
  let heardAt = Date.now();
  let staleSince = null;

  const isLive = (element) => element instanceof Element && element.hasAttribute("data-live");
  const regions = () => document.querySelectorAll("[data-live]");
  const utc = (ms) => new Date(ms).toISOString().slice(11, 16);

  function age(ms) {
    const seconds = Math.max(0, Math.round(ms / 1000));
    return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  }

  function sayLive() {
    if (!live || !regions().length) return;
    const ended = ![...regions()].some((region) => region.hasAttribute("hx-trigger"));
    if (ended) say("still", regions()[0].dataset.ended || "Ended: FAIL stands");
    else if (staleSince !== null) say("stale", `Stale since ${utc(staleSince)}`);
    else if (paused) say("paused", `Paused, ${age(Date.now() - heardAt)} old`);
    else say("live", `Live, ${age(Date.now() - heardAt)} ago`);
    if (pauseButton) pauseButton.hidden = ended;
  }

  function say(state, text) {
    live.dataset.state = state;
    words.textContent = text;
  }

  function togglePause() {
    if (!pauseButton || pauseButton.hidden) return;
    paused = !paused;
    pauseButton.textContent = paused ? "Go on" : "Pause";
    pauseButton.setAttribute("aria-pressed", String(paused));
    sayLive();
  }

  function isHeld(region) {
    const focus = document.activeElement;
    if (focus && focus !== document.body && region.contains(focus)) return true;
    return region.querySelector("input[type=checkbox]:checked, details[open] :focus") !== null;
  }

  // How many rows an answer has that the page does not, and whether those that both have would move.
  function moves(region, answer) {
    const before = (region.dataset.rows || "").split(" ").filter(Boolean);
    const after = (answer.match(/data-rows="([^"]*)"/) || ["", ""])[1].split(" ").filter(Boolean);
    const known = new Set(before);
    return { moved: before.join(" ") !== after.join(" "), fresh: after.filter((row) => !known.has(row)).length };
  }

  // The header stands outside of the live part; its counts come with every answer.
  function count(answer) {
    document.querySelectorAll("[data-count-of]").forEach((place) => {
      const found = answer.match(new RegExp(`data-count-${place.dataset.countOf}="(\\d+)"`));
      if (!found) return;
      place.textContent = Number(found[1]).toLocaleString("en");
      place.classList.toggle("is-loud", found[1] !== "0");
      place.closest(".needs")?.classList.toggle("is-none", found[1] === "0");
    });
  }

  function hold(region, answer, fresh) {
    held.set(region.id, answer);
    let news = region.querySelector(".news");
    if (!news) {
      news = document.createElement("div");
      news.className = "news";
      news.setAttribute("role", "status");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.addEventListener("click", () => show(region.id));
      news.append(button);
      region.prepend(news);
    }
    news.firstChild.textContent = fresh ? `${fresh} new, show` : "The order changed, show";
  }

  function show(id) {
    const region = document.getElementById(id);
    const answer = held.get(id);
    held.delete(id);
    if (region && answer) window.htmx.swap(region, answer, { swapStyle: "outerHTML" });
  }

  // --- leases. A gate that is open is open for so many seconds; what this page has not heard of by then it does not know.
  // The clock that runs on while a machine sleeps, and the one that nobody can set: whichever is further.
  const leases = new WeakMap(); // element -> when it was shown
  const elapsed = (from) => Math.max(Date.now() - from.wall, performance.now() - from.steady) / 1000;

  function watchLeases() {
    document.querySelectorAll("[data-lease]").forEach((place) => {
      if (!leases.has(place)) leases.set(place, { wall: Date.now(), steady: performance.now() });
      const lapsed = elapsed(leases.get(place)) >= Number(place.dataset.lease);
      place.firstElementChild.hidden = lapsed;
      place.lastElementChild.hidden = !lapsed;
    });
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isLive(event.target)) return;
    if (paused || document.hidden || isHeld(event.target)) event.preventDefault();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const region = event.detail.target;
    if (!isLive(region) || event.detail.xhr.status !== 200) return;
    const answer = event.detail.serverResponse;
    // A sign-in page, or anything else that is not this region, never replaces it.
    if (!answer.includes(`id="${region.id}"`)) {
      event.detail.shouldSwap = false;
      staleSince = staleSince === null ? heardAt : staleSince;
      return sayLive();
    }
    heardAt = Date.now();
    staleSince = null;
    count(answer);
    const change = moves(region, answer);
    if (isHeld(region)) event.detail.shouldSwap = false;
    else if (change.moved && region.matches(":hover")) {
      event.detail.shouldSwap = false;
      hold(region, answer, change.fresh);
    } else keepFolds(region);
    sayLive();
  });

  // What a person unfolded stays unfolded.
  let unfolded = [];
  function keepFolds(region) {
    unfolded = [...region.querySelectorAll("details[open][id]")].map((fold) => fold.id);
  }
  document.addEventListener("htmx:afterSwap", () => {
    unfolded.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    unfolded = [];
    sayLive();
    watchLeases();
  });

  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach((name) =>
    document.addEventListener(name, (event) => {
      if (!isLive(event.target)) return;
      staleSince = staleSince === null ? heardAt : staleSince;
      sayLive();
    }),
  );

  // --- keys. No single key destroys anything.
  const goes = { n: "/", r: "/runs/", q: "/quarantine/", u: "/unknown/", p: "/plans/" };
  let going = false;

  const rows = () => [...document.querySelectorAll("main tr[data-row]")].filter((row) => row.offsetParent !== null);

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("is-here"));
    const next = Math.min(Math.max(at + by, 0), all.length - 1);
    all.forEach((row, index) => row.classList.toggle("is-here", index === next));
    all[next].scrollIntoView({ block: "nearest" });
  }

  const here = () => document.querySelector("main tr.is-here");

  const keys = {
    "/": () => document.getElementById("find")?.focus(),
    "?": () => document.getElementById("keys")?.showModal(),
    j: () => step(1),
    k: () => step(-1),
    x: () => here()?.querySelector("input[type=checkbox]")?.click(),
    p: togglePause,
    g: () => {
      going = true;
      setTimeout(() => (going = false), 1200);
    },
    Enter: () => here()?.querySelector("a[href]")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const typing = target.closest("input, textarea, select, dialog") !== null;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && target.closest("a, button, summary")) return;
    if (going && goes[event.key]) {
      going = false;
      window.location.assign(goes[event.key]);
      return;
    }
    if (!keys[event.key]) return;
    if (event.key !== "Enter" || here()) event.preventDefault();
    keys[event.key]();
  });

  document.querySelectorAll("[data-help]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", keys["?"]);
  });
  if (pauseButton) pauseButton.addEventListener("click", togglePause);
  function tick() {
    sayLive();
    watchLeases();
  }
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  tick();
})();

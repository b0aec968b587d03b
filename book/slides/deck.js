/* The deck. Without this script, and on narrow screens, the slides are one long page.
 * Arrows, Space, Page up and down, Home, End: move. L: list. N: notes. C: stop the clock.
 * F: full screen. W: a second window, for the projector, that follows. Escape leaves a widget. */
(() => {
  "use strict";
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);
  const slides = [...document.querySelectorAll(".slide")];
  const plan = (count) => slides.slice(0, count).reduce((sum, slide) => sum + 60 * slide.dataset.minutes, 0);
  const wide = matchMedia("(min-width: 800px)");
  const isDeck = () => root.classList.contains("deck");
  const heading = (slide) => slide.querySelector("h1, h2").textContent;
  const course = document.title;
  let at = 0;
  let other = window.opener;

  /* -- moving ------------------------------------------------------------------------------ */

  function show(index, { tell = true, focus = true, link = true } = {}) {
    at = Math.max(0, Math.min(slides.length - 1, index));
    for (const [i, slide] of slides.entries()) slide.classList.toggle("current", i === at);
    find("number").textContent = `${at + 1} / ${slides.length}`;
    document.title = at ? `${at + 1}. ${heading(slides[at])}: ${course}` : course;
    find("list").open = false;
    tick();
    if (!isDeck()) return;
    if (link && location.hash.slice(1) !== String(at + 1)) history.replaceState(null, "", `#${at + 1}`);
    if (focus) slides[at].focus({ preventScroll: true });
    scrollTo(0, 0);
    if (tell && other && !other.closed) other.postMessage({ slide: at }, "*");
  }

  // "#7" is a slide; "#signal:depth=3" is the state of a widget, which asks to be shown itself.
  const asked = () => (/^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : 0);

  /* -- the clock: planned against spent ------------------------------------------------------ */

  let begun = 0;
  let spent = 0; // milliseconds before the clock was stopped last

  const startClock = () => { begun = Date.now(); };
  const time = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

  function toggleClock() {
    if (begun) { spent += Date.now() - begun; begun = 0; } else startClock();
    tick();
  }

  function tick() {
    const now = Math.floor((spent + (begun ? Date.now() - begun : 0)) / 1000);
    const end = plan(at + 1);
    const word = now > end ? `${time(now - end)} late` : now < plan(at) ? `${time(plan(at) - now)} early` : "on time";
    find("clock").textContent = `${time(now)} spent, planned ${time(plan(at))} to ${time(end)}: ${begun ? word : "stopped"}`;
  }

  /* -- notes, screen, second window ------------------------------------------------------------ */

  function toggleNotes() {
    const shown = root.classList.toggle("with-notes");
    find("notes").setAttribute("aria-pressed", shown);
    find("clock").hidden = !shown;
    for (const notes of document.querySelectorAll(".notes")) notes.open = shown;
    fit();
  }

  const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
  const secondWindow = () => { other = open(location.href, "slides", "popup,width=1280,height=720"); };

  // What scrolls on a narrow screen has to be within reach of the keyboard.
  function fit() {
    root.classList.toggle("deck", wide.matches);
    const notes = root.classList.contains("with-notes") ? 0.56 : 1;
    root.style.setProperty("--zoom", isDeck() ? 1.15 * notes * Math.min(innerWidth / 1280, innerHeight / 720) : 1);
    for (const box of document.querySelectorAll(".face > .figure, .equation, .live")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 || box.matches(".live");
      const says = { tabindex: 0, role: "group", "aria-label": box.matches(".live") ? "A figure to operate" : "Scrolls sideways" };
      for (const [name, value] of Object.entries(says)) {
        if (scrolls) box.setAttribute(name, value);
        else box.removeAttribute(name);
      }
    }
  }

  const back = () => show(at - 1);
  function next() {
    if (at === 0 && !begun && !spent) startClock(); // the lecture begins
    show(at + 1);
  }
  const keys = {
    ArrowLeft: back, ArrowUp: back, PageUp: back, ArrowRight: next, ArrowDown: next, PageDown: next, " ": next,
    Home: () => show(0), End: () => show(slides.length - 1),
    n: toggleNotes, c: toggleClock, f: fullScreen, w: secondWindow,
    l: () => { find("list").open = !find("list").open; find("list").querySelector("summary").focus(); },
    Escape: () => { find("list").open = false; slides[at].focus(); },
  };

  document.addEventListener("keydown", (event) => {
    if (!isDeck() || event.altKey || event.ctrlKey || event.metaKey) return;
    const { key, target } = event;
    const act = key === " " && event.shiftKey ? back : keys[key.length === 1 ? key.toLowerCase() : key];
    // A clicker sends Page up and Page down, and has to work wherever the focus is.
    const ours = ["PageUp", "PageDown", "Escape"].includes(key);
    const within = target.closest(".live, #list div") || (" " === key && target.closest("a, button, summary"));
    if (!act || (within && !ours)) return;
    event.preventDefault();
    act();
  });
  find("back").addEventListener("click", back);
  find("next").addEventListener("click", next);
  find("notes").addEventListener("click", toggleNotes);
  find("full").addEventListener("click", fullScreen);
  find("clock").addEventListener("click", toggleClock);
  addEventListener("hashchange", () => { if (asked()) show(asked() - 1); });
  addEventListener("resize", () => { fit(); show(at, { tell: false, focus: false }); });
  addEventListener("message", ({ source, data }) => {
    if (source === other && Number.isInteger(data?.slide)) show(data.slide, { tell: false, focus: false });
  });
  document.addEventListener("reveal", ({ target }) => show(slides.indexOf(target.closest(".slide"))));

  root.classList.add("js");
  fit();
  show(asked() - 1, { focus: false, link: false });
  setInterval(tick, 1000);
})();

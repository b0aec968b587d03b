// Puts the widgets of course_lib.widgets into a page that has no kernel. Each has its place in the
// page, with its state and a still picture; its text comes in a script of the same name, loaded
// when the reader gets near.
(() => {
  "use strict";

  const own = document.currentScript.src;
  const NEAR = "600px";

  // What anywidget's model is to a widget, in a page: values, listeners, and links to a state.
  class Model {
    #values;
    #listeners = new Map();

    // `first` is the state that the page gives, `asked` what its address wants instead.
    constructor(first, asked, link) {
      this.#values = { readings: {}, ...first, ...asked };
      this.first = first;
      this.link = link;
    }

    get(key) {
      return this.#values[key];
    }

    set(key, value) {
      if (JSON.stringify(this.#values[key]) === JSON.stringify(value)) return;
      this.#values[key] = value;
      for (const listener of this.#listeners.get(`change:${key}`) || []) listener();
    }

    save_changes() {}

    on(event, listener) {
      this.#listeners.set(event, [...(this.#listeners.get(event) || []), listener]);
    }

    off(event, listener) {
      this.#listeners.set(event, (this.#listeners.get(event) || []).filter((known) => known !== listener));
    }

    // The address of this page with this state: "#signal:depth=10&activation=tanh".
    permalink(state) {
      return `${location.href.split("#")[0]}#${this.link}:${new URLSearchParams(state)}`;
    }
  }

  // The state that the address asks of this widget, in the types of its own state.
  function linked(link, state) {
    const [target, ...rest] = location.hash.slice(1).split(":");
    if (decodeURIComponent(target) !== link || !rest.length) return null;
    const asked = {};
    for (const [key, text] of new URLSearchParams(rest.join(":"))) {
      if (typeof state[key] === "number" && text.trim() !== "") asked[key] = Number(text);
      if (typeof state[key] === "boolean") asked[key] = text === "true";
      if (typeof state[key] === "string") asked[key] = text;
    }
    return asked;
  }

  const scripts = new Map();

  function registered(name) {
    const found = () => (window.courseWidgets || {})[name];
    if (found()) return Promise.resolve(found());
    if (!scripts.has(name)) {
      scripts.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = new URL(`widgets/${name}.js`, own);
        script.onload = () => resolve(found());
        script.onerror = () => reject(new Error(`no script for the widget ${name}`));
        document.head.append(script);
      }));
    }
    return scripts.get(name);
  }

  const modules = new Map();

  async function moduleOf(name) {
    const { esm, css } = await registered(name);
    if (!document.getElementById("widgets-style")) {
      const style = document.createElement("style");
      style.id = "widgets-style";
      style.textContent = css;
      document.head.append(style);
    }
    if (!modules.has(name)) {
      const address = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
      modules.set(name, import(address));
    }
    return (await modules.get(name)).default;
  }

  async function mount(place) {
    if (place.model) return;
    const state = JSON.parse(place.dataset.state);
    place.model = new Model(state, linked(place.dataset.link, state), place.dataset.link);
    try {
      const widget = await moduleOf(place.dataset.widget);
      const element = document.createElement("div");
      const still = [...place.childNodes];
      place.append(element); // charts need their width
      await widget.render({ model: place.model, el: element });
      for (const node of still) node.remove();
      place.dataset.mounted = "";
    } catch (error) {
      console.error(error); // the still picture stays
    }
  }

  function start() {
    const places = [...document.querySelectorAll(".course-widget[data-widget]")];
    const count = {};
    for (const place of places) {
      const name = place.dataset.widget;
      count[name] = (count[name] || 0) + 1;
      // What a link calls it; a heading of the page may have taken the name as its id.
      place.dataset.link = count[name] === 1 ? name : `${name}-${count[name]}`;
    }
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        mount(entry.target);
      }
    }, { rootMargin: NEAR });
    for (const place of places) near.observe(place);

    async function follow() {
      for (const place of places) {
        const asked = linked(place.dataset.link, JSON.parse(place.dataset.state));
        if (!asked) continue;
        place.dispatchEvent(new Event("reveal", { bubbles: true })); // it may lie in a folded part
        await mount(place);
        for (const [key, value] of Object.entries(asked)) place.model.set(key, value);
        place.scrollIntoView();
      }
    }
    addEventListener("hashchange", follow);
    follow();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

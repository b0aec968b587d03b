/* Predictions, and regions that scroll. Without this script a prediction is an ordinary box and
 * nothing is folded. */
(() => {
  "use strict";

  /* -- predictions -------------------------------------------------------------------------------
   *
   * An admonition of class "prediction", with "answer-b" where there is a right answer, holds a
   * question and, last, a list of options. It becomes a group of radio buttons, and what follows it
   * up to the end of its H2 section stays folded until the reader has answered or skipped. */

  const letters = "abcdefgh";
  const untilFound = "onbeforematch" in document.documentElement;

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // A page may be read where storage is refused: the choice is then only not remembered.
  const memory = {
    get(key) {
      try { return localStorage.getItem(key); } catch { return null; }
    },
    set(key, value) {
      try {
        if (value === null) localStorage.removeItem(key);
        else localStorage.setItem(key, value);
      } catch { /* not remembered */ }
    },
  };

  // Wraps what follows the box, level by level, up to the end of its H2 section.
  function foldAfter(box) {
    const folds = [];
    let node = box;
    for (;;) {
      const parent = node.parentElement;
      const fold = make("div", { class: "fold" });
      while (node.nextSibling) fold.append(node.nextSibling);
      if (fold.childElementCount) {
        parent.append(fold);
        folds.push(fold);
      } else parent.append(...fold.childNodes);
      // Within a fold of an earlier prediction the section is further up.
      const section = parent.matches("section") ? parent : null;
      if (!section && !parent.matches(".fold")) break;
      if (section && section.querySelector(":scope > h1, :scope > h2")) break;
      node = parent;
    }
    return folds;
  }

  function setUp(box, number) {
    const list = [...box.children].filter((child) => child.matches("ol, ul")).pop();
    const title = box.querySelector(":scope > .admonition-title");
    if (!list || !title) {
      console.error("a prediction without a title or a list of options:", box);
      return;
    }
    const answer = (box.className.match(/\banswer-([a-h])\b/) || [])[1];
    const page = location.pathname.split("/").slice(-2).join("/");
    const key = `hard-to-train prediction ${page} ${number} ${title.textContent.trim()}`;
    const group = `prediction-${number}`;

    const fieldset = make("fieldset", {}, make("legend", {}, ...title.childNodes));
    for (const child of [...box.children]) if (child !== title && child !== list) fieldset.append(child);
    const options = [...list.children].map((item, i) => {
      const input = make("input", { type: "radio", name: group, value: letters[i] });
      // What a "tight" list holds inline goes on one line; a paragraph is unwrapped into it.
      const text = make("span", { class: "text" });
      for (const child of [...item.childNodes]) text.append(...(child.nodeName === "P" ? child.childNodes : [child]));
      return make("label", { class: "option" }, input, make("span", { class: "letter" }, `${letters[i]}.`), text);
    });
    const check = make("button", { type: "button" }, "Check");
    const skip = make("button", { type: "button", class: "plain" }, "Skip");
    const result = make("p", { class: "result", role: "status", "aria-live": "polite" });
    fieldset.append(...options);
    title.remove();
    list.remove();
    box.append(fieldset, make("div", { class: "buttons" }, check, skip), result);

    const folds = foldAfter(box);
    const note = make("p", { class: "fold-note" }, "The rest of this section opens when you have chosen, or skipped.");
    box.after(note);

    const inputs = options.map((option) => option.querySelector("input"));
    const chosen = () => (inputs.find((input) => input.checked) || {}).value;

    function fold(hidden) {
      note.hidden = !hidden;
      for (const part of folds) {
        if (hidden) part.setAttribute("hidden", untilFound ? "until-found" : "");
        else part.removeAttribute("hidden");
      }
      if (!hidden) markScrolling();
    }

    function sentence(choice) {
      const right = answer ? `What happens is ${answer}` : "Read on to see what happens";
      if (choice === "skip") return `You skipped. ${right}${answer ? ": read on" : ""}.`;
      if (!answer) return `You predicted ${choice}. ${right}.`;
      if (choice === answer) return `You predicted ${choice}. That is what happens: read on to see why.`;
      return `You predicted ${choice}. ${right}: read on to see why.`;
    }

    function settle(choice, announce) {
      box.classList.add("answered");
      for (const [i, input] of inputs.entries()) {
        input.checked = input.value === choice;
        input.disabled = true;
        options[i].classList.toggle("right", input.value === answer);
      }
      check.textContent = "Predict again";
      skip.hidden = true;
      // The region has to be there before its text, or the text is not announced.
      if (announce) setTimeout(() => { result.textContent = sentence(choice); }, 50);
      else result.textContent = sentence(choice);
      fold(false);
    }

    function ask() {
      box.classList.remove("answered");
      for (const [i, input] of inputs.entries()) {
        input.checked = false;
        input.disabled = false;
        options[i].classList.remove("right");
      }
      check.textContent = "Check";
      skip.hidden = false;
      result.textContent = "";
      fold(true);
    }

    check.addEventListener("click", () => {
      if (box.classList.contains("answered")) {
        memory.set(key, null);
        ask();
        inputs[0].focus();
      } else if (!chosen()) {
        result.textContent = "Choose an option first, or skip.";
        inputs[0].focus();
      } else {
        memory.set(key, chosen());
        settle(chosen(), true);
      }
    });
    skip.addEventListener("click", () => {
      memory.set(key, "skip");
      settle("skip", true);
      check.focus();
    });
    // The browser found a word in there, or a link leads there: show it, and leave the question open.
    const reveal = () => fold(false);
    for (const part of folds) {
      part.addEventListener("beforematch", reveal);
      part.addEventListener("reveal", reveal);
    }

    const before = memory.get(key);
    if (before === "skip" || inputs.some((input) => input.value === before)) settle(before, false);
    else ask();
  }

  // Opens what hides the target of the address, then goes there.
  function openTarget() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest(".fold[hidden]");
    if (!folded) return;
    for (let part = folded; part; part = part.parentElement.closest(".fold[hidden]")) part.dispatchEvent(new Event("reveal"));
    target.scrollIntoView();
  }

  // Coming from a search, the reader looks for a word that may be in a folded part.
  function openAllAfterSearch() {
    if (!new URLSearchParams(location.search).has("highlight")) return;
    for (const part of document.querySelectorAll(".fold[hidden]")) part.dispatchEvent(new Event("reveal"));
  }

  /* -- regions that scroll -------------------------------------------------------------------------
   * What is wider than its place scrolls there, and has to be within reach of the keyboard. */

  const scrolling = {
    'mjx-container[display="true"]': "Equation",
    "div.cell_output .output": "Output",
    ".figure": "Figure",
    "pre": "Code",
    ".pst-scrollable-table-container": "Table",
  };

  function markScrolling() {
    for (const [selector, name] of Object.entries(scrolling)) {
      for (const element of document.querySelectorAll(`.bd-article ${selector}`)) {
        const wide = element.scrollWidth > element.clientWidth + 1;
        if (wide && !element.hasAttribute("data-scrolls")) {
          element.setAttribute("data-scrolls", "");
          element.tabIndex = 0;
          // MathJax gives an equation its own role and name.
          if (element.nodeName !== "MJX-CONTAINER") {
            element.setAttribute("role", "group");
            element.setAttribute("aria-label", `${name}, scrolls sideways`);
          }
        } else if (!wide && element.hasAttribute("data-scrolls")) {
          for (const attribute of ["data-scrolls", "tabindex"]) element.removeAttribute(attribute);
          if (element.nodeName !== "MJX-CONTAINER") {
            element.removeAttribute("role");
            element.removeAttribute("aria-label");
          }
        }
      }
    }
  }

  // The theme's button that unfolds a page's subpages in the sidebar is an arrow without a name.
  function nameFolds() {
    for (const button of document.querySelectorAll(".bd-sidebar-primary li > details > summary")) {
      const page = button.closest("li").querySelector("a").textContent.trim();
      button.setAttribute("aria-label", `Pages under: ${page}`);
    }
  }

  function start() {
    nameFolds();
    document.querySelectorAll("div.admonition.prediction").forEach(setUp);
    openAllAfterSearch();
    openTarget();
    markScrolling();
    addEventListener("hashchange", openTarget);
    document.addEventListener("equations-drawn", () => { markScrolling(); openTarget(); });
    let timer;
    addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(markScrolling, 150); });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

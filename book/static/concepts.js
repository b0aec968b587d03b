/* The concept check: marks the ten questions, before the course and after it, and remembers both.
 * Without this script the page has the questions and, folded, the answers with their reasons. */
(() => {
  "use strict";

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /* -- what is remembered --------------------------------------------------------------------------
   * { draft, before, after, again, shown }: draft is a list of choices, one a question, each a letter,
   * "-" (does not know) or "" (open); before and after are { when, choices }; again says that the second
   * time has begun, shown that explanations were read before it. */

  function memoryFor(edition, count) {
    const key = `hard-to-train concept check, edition ${edition}`;
    let works = true;
    try {
      localStorage.setItem(`${key} test`, "1");
      localStorage.removeItem(`${key} test`);
    } catch { works = false; }
    return {
      works,
      load() {
        // What something else has left there, or half of it, is as good as nothing.
        const whole = (run) => run === undefined || (run.choices.length === count && run.when.length === 10);
        try {
          const state = JSON.parse(localStorage.getItem(key));
          return whole(state.before) && whole(state.after) ? state : {};
        } catch { return {}; }
      },
      save(state) {
        try { localStorage.setItem(key, JSON.stringify(state)); } catch { /* lasts as long as the page */ }
      },
      erase() {
        try { localStorage.removeItem(key); } catch { /* nothing was kept */ }
      },
    };
  }

  /* -- scores -------------------------------------------------------------------------------------- */

  const score = (questions, choices) => questions.filter((q) => choices[q.index] === q.right).length;

  // The share of what could be gained that was gained (Hake 1998); null where nothing could be.
  const gain = (before, after, all) => (before === all ? null : (after - before) / (all - before));

  function aboutGain(before, after, all) {
    const g = gain(before, after, all);
    if (g === null) return `All ${all} were right the first time: there was nothing to gain.`;
    const said = `Normalised gain: (${after} \u2212 ${before})/(${all} \u2212 ${before}) = ${g.toFixed(2).replace("-", "\u2212")}`;
    return g < 0 ? `${said}. Fewer are right than before.` : `${said}, the share of what could be gained that was.`;
  }

  const today = () => new Date().toLocaleDateString("sv-SE"); // 2026-09-30, by the reader's clock
  const named = (choice) => (choice === "-" ? "does not know" : choice);

  function change(question, before, after) {
    const was = before === question.right;
    const is = after === question.right;
    if (was && is) return "right both times";
    if (is) return "gained";
    if (was) return "lost";
    return before === after ? "the same answer, not right" : "another answer, not right";
  }

  function asText(questions, state, edition, code) {
    const { before, after } = state;
    const lines = ["Concept check of the course Hard to Train", `Code: ${code}`, `Edition: ${edition}`];
    const scores = [before, after].map((run) => (run ? score(questions, run.choices) : ""));
    const rows = [before, after].map((run) => (run ? run.choices.join("") : ""));
    for (const [name, run, points] of [["Before", before, scores[0]], ["After", after, scores[1]]]) {
      if (run) lines.push(`${name}, ${run.when}: ${points} of ${questions.length}, answers ${run.choices.join(" ")}`);
    }
    if (after) {
      const g = gain(scores[0], scores[1], questions.length);
      lines.push(`Normalised gain: ${g === null ? "none to be had" : g.toFixed(2)}`);
    }
    lines.push(`Explanations read before the second time: ${state.shown ? "yes" : "no"}`);
    // A spreadsheet would take what begins like this for a formula.
    const safe = code.replace(/^[=+@-]+|\t/g, "");
    return [...lines, [safe, edition, ...scores, ...rows].join("\t"), ""].join("\n");
  }

  // Reads such a text again; null if it is none of this edition.
  function fromText(text, edition, count) {
    const run = (name) => {
      const [, when, choices] = text.match(new RegExp(`^${name}, (\\d{4}-\\d\\d-\\d\\d): .* answers ([a-e -]+?)\\s*$`, "m")) || [];
      const letters = (choices || "").split(" ");
      return letters.length === count && letters.every((letter) => letter.length === 1) ? { when, choices: letters } : undefined;
    };
    const [before, after] = [run("Before"), run("After")];
    if (!before || !new RegExp(`^Edition: ${edition}\\s*$`, "m").test(text)) return null;
    return { before, after, shown: /second time: yes/.test(text) };
  }

  /* -- the questions ------------------------------------------------------------------------------- */

  function readQuestion(box, index) {
    const title = box.querySelector("h3");
    const list = box.querySelector("ol.choices");
    const name = `${box.id}-choice`;
    const question = {
      index, box, right: title.dataset.right, theme: title.dataset.theme, title: title.textContent,
      why: box.querySelector("details"), links: [...box.querySelectorAll(".treated a")],
    };
    const option = (letter, ...text) => {
      const input = make("input", { type: "radio", name, value: letter, autocomplete: "off" });
      const shown = letter === "-" ? [] : [make("span", { class: "letter" }, `${letter}.`)];
      const mark = make("span", { class: "told" });
      return { input, mark, label: make("label", { class: "option" }, input, ...shown, make("span", { class: "text" }, ...text, mark)) };
    };
    question.options = [...list.children].map((item, i) => option("abcde"[i], ...item.firstElementChild.childNodes));
    question.options.push(option("-", "I do not know"));
    const labels = question.options.map(({ label }) => label);
    list.replaceWith(make("fieldset", { "aria-labelledby": `${title.id} ${box.id}-stem` }, ...labels));
    return question;
  }

  function showQuestion(question, state, phase) {
    const { before, after } = state;
    const run = phase === "between" ? before : phase === "done" ? after : null;
    const told = phase === "done" || (phase === "between" && Boolean(state.shown));
    const chosen = run ? run.choices[question.index] : (state.draft || [])[question.index];
    for (const { input, mark, label } of question.options) {
      input.checked = input.value === chosen;
      input.disabled = Boolean(run);
      const said = [];
      if (told && input.value === question.right) said.push("right");
      if (phase === "done" && input.value === before.choices[question.index]) said.push("your answer before");
      if (run && input.checked) said.push(phase === "done" ? "your answer after" : "your answer");
      mark.textContent = said.length ? ` (${said.join(", ")})` : "";
      label.classList.toggle("right", told && input.value === question.right);
      label.classList.toggle("settled", Boolean(run));
    }
    question.why.hidden = !told;
    question.why.open = told && chosen !== question.right;
  }

  /* -- the result ---------------------------------------------------------------------------------- */

  function table(caption, head, rows) {
    const cells = rows.map(([first, ...rest]) =>
      make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((cell) => make("td", {}, ...[cell].flat()))));
    return make("div", { class: "concept-table" }, make("table", { class: "table" }, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, ...cells)));
  }

  function byTheme(questions, runs) {
    const themes = [...new Set(questions.map((q) => q.theme))];
    const rows = themes.map((theme) => {
      const own = questions.filter((q) => q.theme === theme);
      const row = [theme, ...runs.map((run) => `${score(own, run.choices)}\u00a0of\u00a0${own.length}`)];
      if (score(own, runs.at(-1).choices) === own.length) return [...row, "\u2013"];
      const links = new Map(own.flatMap((q) => q.links).map((a) => [a.textContent.match(/\d+/)[0], a.href]));
      const sorted = [...links].sort((a, b) => a[0] - b[0]);
      return [...row, sorted.flatMap(([number, href], i) => [...(i ? [", "] : []), make("a", { href }, `lesson ${number}`)])];
    });
    rows.push(["All", ...runs.map((run) => `${score(questions, run.choices)}\u00a0of\u00a0${questions.length}`), ""]);
    return rows;
  }

  function start() {
    const place = document.querySelector(".concept-result");
    const boxes = [...document.querySelectorAll("div.concept")];
    if (!place || !boxes.length) return;
    const { edition } = place.dataset;
    const memory = memoryFor(edition, boxes.length);
    const questions = boxes.map(readQuestion);
    let state = memory.load();

    const status = make("p", { class: "status", role: "status" });
    const panel = make("div", { class: "panel", tabindex: "-1" });
    place.replaceChildren(panel, status);

    const phase = () => (state.after ? "done" : !state.before ? "before" : state.again ? "after" : "between");
    const chosen = () => questions.map((q) => q.options.find(({ input }) => input.checked)?.input.value || "");
    const say = (text) => { setTimeout(() => { status.textContent = text; }, 50); };
    const button = (text, action, kind = "plain") => {
      const element = make("button", { type: "button", class: kind }, text);
      element.addEventListener("click", action);
      return element;
    };
    const settle = (text) => {
      memory.save(state);
      draw();
      panel.focus();
      say(text);
    };

    function mark() {
      const choices = chosen();
      const open = questions.filter((q) => !choices[q.index]);
      if (open.length) {
        say(`Still open: ${open.map((q) => `question ${q.index + 1}`).join(", ")}. Answer, or choose \u201cI do not know\u201d.`);
        open[0].options[0].input.focus();
        return;
      }
      const run = { when: today(), choices };
      const { draft, ...rest } = state;
      state = phase() === "before" ? { ...rest, before: run } : { ...rest, after: run };
      settle(`Marked: ${score(questions, choices)} of ${questions.length} are right.`);
    }

    function erase() {
      if (!confirm("Erase your answers, of both times, from this browser?")) return;
      memory.erase();
      state = {};
      draw();
      questions[0].options[0].input.focus();
      say("Your answers are erased.");
    }

    // The text of the result, to look at, copy and download.
    function handOut() {
      const code = make("input", { type: "text", id: "concept-code", autocomplete: "off", maxlength: "60" });
      const text = make("textarea", { readonly: "", rows: "8", "aria-label": "Your result as text" });
      const write = () => { text.value = asText(questions, state, edition, code.value.trim()); };
      code.addEventListener("input", write);
      write();
      const copy = async () => {
        try {
          await navigator.clipboard.writeText(text.value);
          say("Copied.");
        } catch {
          text.focus();
          text.select();
          say("The browser does not let the page copy. The text is selected: copy it yourself.");
        }
      };
      const download = () => {
        const href = URL.createObjectURL(new Blob([text.value], { type: "text/plain" }));
        make("a", { href, download: "concept-check.txt" }).click();
        setTimeout(() => URL.revokeObjectURL(href), 1000);
        say("Downloaded as concept-check.txt.");
      };
      const fold = make("details", { class: "hand-out" }, make("summary", {}, "Your result as text, for an instructor"),
        make("p", {}, make("label", { for: "concept-code" }, "Your name or code, if you are asked for one (it goes into the text and nowhere else) "), code),
        text, make("div", { class: "buttons" }, button("Copy", copy), button("Download", download)));
      return fold;
    }

    // For whoever took it first in another browser, or in one that forgets.
    function takeOver() {
      const text = make("textarea", { rows: "4", id: "concept-earlier" });
      const read = () => {
        const found = fromText(text.value, edition, questions.length);
        if (!found) {
          say("This is no result of these questions: paste the whole text.");
          text.focus();
          return;
        }
        state = found;
        settle("Your earlier result is here again.");
      };
      return make("details", {}, make("summary", {}, "I have an earlier result as text"),
        make("p", {}, make("label", { for: "concept-earlier" }, "Paste the text here")), text,
        make("div", { class: "buttons" }, button("Take it over", read)));
    }

    function taking(time) {
      const done = chosen().filter(Boolean).length;
      const what = time === "after" ? "The second time: the same questions, without a look at your first answers." : "The first time, before the course.";
      const count = make("p", {}, `${what} ${done} of ${questions.length} answered.`);
      const buttons = [button("Mark my answers", mark, "main"), ...(done || state.before ? [button("Erase my answers", erase)] : [])];
      return [count, make("div", { class: "buttons" }, ...buttons), ...(done || state.before ? [] : [takeOver()])];
    }

    function show(...parts) {
      const note = "This browser does not let the page remember anything: your answers last until you leave it. Keep your result as text.";
      panel.replaceChildren(...parts, ...(memory.works ? [] : [make("p", { class: "not-kept" }, note)]));
    }

    function draw() {
      const now = phase();
      for (const question of questions) showQuestion(question, state, now);
      const parts = [];
      const erasing = button("Erase my answers", erase);
      if (now === "before" || now === "after") parts.push(...taking(now));
      if (now === "between") {
        parts.push(table(`Before the course, ${state.before.when}`, ["Theme", "Right", "Read with care"], byTheme(questions, [state.before])),
          make("p", {}, "Your answers stay as they are, and what is right is not told yet. After the course, come back and take the same questions again."));
        const reveal = button("Show the explanations anyway", () => {
          state = { ...state, shown: true };
          settle("The explanations stand under the questions. Your result will say that you have read them.");
        });
        const again = button("Take it again, after the course", () => {
          state = { ...state, again: true };
          memory.save(state);
          draw();
          questions[0].options[0].input.focus();
          say("The questions are open again.");
        }, "main");
        parts.push(make("div", { class: "buttons" }, again, ...(state.shown ? [] : [reveal]), erasing), handOut());
      }
      if (now === "done") {
        const [before, after] = [state.before, state.after].map((run) => score(questions, run.choices));
        parts.push(table(`Before, ${state.before.when}, and after, ${state.after.when}`, ["Theme", "Before", "After", "Read again"], byTheme(questions, [state.before, state.after])),
          make("p", { class: "gain" }, aboutGain(before, after, questions.length)));
        if (state.shown) parts.push(make("p", {}, "You had read the explanations before the second time: part of the gain may be memory."));
        const rows = questions.map((q) => [
          make("a", { href: `#${q.box.id}` }, q.title.replace("Question ", "")), named(state.before.choices[q.index]), named(state.after.choices[q.index]),
          q.right, change(q, state.before.choices[q.index], state.after.choices[q.index])]);
        parts.push(table("Question by question", ["Question", "Before", "After", "Right", "What has changed"], rows),
          make("div", { class: "buttons" }, erasing), handOut());
      }
      show(...parts);
    }

    for (const question of questions) {
      for (const { input } of question.options) {
        input.addEventListener("change", () => {
          state = { ...state, draft: chosen() };
          memory.save(state);
          show(...taking(phase()));
        });
      }
    }
    draw();
  }

  start(); // deferred: the page is there
})();

/* Sets MathJax 4 up from the files in vendor/mathjax, then loads it.
 *
 * Equations are drawn as SVG, so that no font has to be fetched: browsers differ in what they allow a
 * page opened from a folder. For the same reason the speech engine, which MathJax would start as a
 * worker from a file of its own, is started from text that math-speech.js brings (the extension
 * course_page writes it from the vendored files).
 */
(() => {
  "use strict";
  const here = document.currentScript.src.replace(/math\.js.*$/, "");
  const vendor = here + "vendor/mathjax";
  const root = document.documentElement;

  const load = (url) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`cannot load ${url}`));
      document.head.append(script);
    });

  // The worker asks for its rule files with fetch, which a page from a folder may not do: they are
  // handed to it with its text. (It asks for Nemeth braille too, which is not made: no rules.)
  async function startSpeech(listener) {
    await load(here + "math-speech.js");
    const { worker, maps } = window.mathSpeech;
    const prologue = `
      const rules = ${JSON.stringify(maps)};
      self.maps = "rules";
      self.fetch = async (url) => {
        const name = String(url).split("/").pop();
        return new Response(rules[name] || "{}");
      };
    `;
    const url = URL.createObjectURL(new Blob([prologue, worker], { type: "text/javascript" }));
    const started = new Worker(url);
    started.onmessage = listener;
    URL.revokeObjectURL(url);
    return started;
  }

  // An equation shows as TeX source until it is drawn: hidden meanwhile, but only for a while.
  const show = () => root.classList.remove("math-pending");
  root.classList.add("math-pending");
  setTimeout(show, 5000);

  // A link to an anchor was followed before the equations above it had their height.
  function returnToAnchor() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && Math.abs(scrollY - scrolled) < 2) target.scrollIntoView();
  }
  let scrolled = 0;

  window.MathJax = {
    loader: {
      paths: { mathjax: vendor, sre: vendor + "/sre", "mathjax-newcm": vendor + "/font" },
    },
    tex: {
      // An unknown command is an error that the tests see, not red text.
      packages: { "[-]": ["noundefined", "require"] },
      tags: "none",
    },
    output: { font: "mathjax-newcm", displayOverflow: "scroll", linebreaks: { inline: true } },
    options: {
      ignoreHtmlClass: "tex2jax_ignore|mathjax_ignore",
      processHtmlClass: "tex2jax_process|mathjax_process|math|output_area",
      // No menu: it offers what is not here. Equations are not stops on the way of the Tab key, but
      // course.js makes one of each that scrolls.
      enableMenu: false,
      menuOptions: { settings: { speech: true, braille: false, inTabOrder: false } },
    },
    startup: {
      ready() {
        MathJax._.adaptors.HTMLAdaptor.HTMLAdaptor.prototype.createWorker = startSpeech;
        MathJax.startup.defaultReady();
        scrolled = scrollY;
        MathJax.startup.promise
          .catch((error) => console.error("equations:", error))
          .then(() => {
            show();
            returnToAnchor();
            document.dispatchEvent(new Event("equations-drawn"));
          });
      },
    },
  };
  load(vendor + "/tex-svg.js").catch((error) => {
    show();
    console.error("equations:", error);
  });
})();

"use strict";

// Tables: a click on a heading sorts by it, another click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        const [x, y] = [Number(key(a)), Number(key(b))];
        if (Number.isNaN(x) && Number.isNaN(y)) return key(a).localeCompare(key(b), "en", { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        return x - y;
      };
      const rows = [...table.tBodies[0].rows].sort(compare);
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
}

// Figures: their data is in the page, their colours come from the style sheet, so they follow the theme.
const figures = JSON.parse(document.getElementById("figures").textContent);
const axesOf = (layout) => Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
const narrow = () => window.innerWidth < 864;

function themed() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), linecolor: colour("--muted"), zerolinecolor: colour("--line"), automargin: true };
  return {
    axis,
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow() ? 11 : 13, color: colour("--ink") },
      hoverlabel: { bgcolor: colour("--surface"), bordercolor: colour("--muted"), font: { color: colour("--ink") }, namelength: -1 },
      modebar: { color: colour("--muted"), activecolor: colour("--accent"), bgcolor: "rgba(0,0,0,0)" },
    },
  };
}

function laidOut(figure) {
  const { axis, layout } = themed();
  const result = {
    ...layout,
    ...figure.layout,
    margin: { l: 55, r: 12, t: 28, b: 40 },
    dragmode: narrow() ? false : "zoom",
    legend: { title: { ...figure.layout.legend?.title, font: { size: layout.font.size } }, orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
  };
  for (const name of axesOf(figure.layout)) {
    const own = figure.layout[name];
    result[name] = { ...axis, ...own, title: { ...own.title, standoff: 8, font: { size: layout.font.size } } };
  }
  return result;
}

const settings = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false,
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
};

async function drawAll() {
  for (const [name, figure] of Object.entries(figures)) {
    await Plotly.newPlot(name, figure.data, laidOut(figure), settings);
  }
  document.documentElement.dataset.drawn = Object.keys(figures).length;
}

function recolour() {
  for (const name of Object.keys(figures)) {
    const plot = document.getElementById(name);
    if (!plot.layout) continue;
    const { axis, layout } = themed();
    const update = { ...layout };
    for (const side of axesOf(figures[name].layout)) {
      for (const key of ["gridcolor", "linecolor", "zerolinecolor"]) update[`${side}.${key}`] = axis[key];
    }
    Plotly.relayout(plot, update);
  }
}

// A Gantt chart shows one policy at a time; the zoom stays, so that policies can be compared at one place.
for (const select of document.querySelectorAll("select[data-for]")) {
  select.addEventListener("change", () => {
    const plot = document.getElementById(select.dataset.for);
    Plotly.restyle(plot, { visible: plot.data.map((trace) => trace.meta === Number(select.value)) });
  });
}

// Theme: as the system says, or as chosen here.
const root = document.documentElement;
const button = document.getElementById("theme");
const themes = ["auto", "light", "dark"];

function setTheme(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.querySelector("span").textContent = theme;
  try { localStorage.setItem("hpcai-theme", theme); } catch { /* a file opened from disk may have no storage */ }
  recolour();
}

let stored = null;
try { stored = localStorage.getItem("hpcai-theme"); } catch { /* as above */ }
setTheme(themes.includes(stored) ? stored : "auto");
button.addEventListener("click", () => {
  setTheme(themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length]);
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
const PAPER_WIDTH = 640; // px between the margins of an upright page
const drawn = () => [...document.querySelectorAll(".plot")].filter((plot) => plot.layout);

window.addEventListener("beforeprint", () => {
  recolour();
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const plot of drawn()) Plotly.relayout(plot, { width: PAPER_WIDTH });
});
window.addEventListener("afterprint", () => {
  for (const plot of drawn()) Plotly.relayout(plot, { width: null, autosize: true });
});
drawAll();

// Small pictures of numbers.

import { draw, make } from "/dom.js";
import { count, seconds } from "/format.js";

const WIDTH = 240;
const HEIGHT = 40;

// A gap stays a gap: an hour without replies has no latency.
const strokes = (values, top) => {
  const x = (index) => ((index + 0.5) * WIDTH) / values.length;
  const y = (value) => HEIGHT - 1 - (value * (HEIGHT - 3)) / top;
  const parts = [[]];
  values.forEach((value, index) => {
    if (value === null) parts.push([]);
    else parts.at(-1).push([x(index).toFixed(1), y(value).toFixed(1)]);
  });
  return parts.filter((part) => part.length);
};

const line = (points) => `M${points.map((point) => point.join(" ")).join("L")}`;
const area = (points) => `${line(points)}L${points.at(-1)[0]} ${HEIGHT}L${points[0][0]} ${HEIGHT}Z`;

const frame = (label, ...paths) =>
  draw(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      class: "spark",
      role: "img",
      "aria-label": label,
    },
    ...paths,
  );

const highest = (values) => Math.max(0, ...values.filter((value) => value !== null)) || 1;

export const sparkline = (label, values) => {
  const parts = strokes(values, highest(values));
  return frame(
    label,
    draw("path", { class: "area", d: parts.map(area).join("") }),
    draw("path", { class: "line", d: parts.map(dot).join("") }),
  );
};

// For events, each of which belongs to its interval alone.
export const bars = (label, values) => {
  const points = strokes(values, highest(values))
    .flat()
    .filter((_, index) => values[index]);
  return frame(
    label,
    draw("path", { class: "bars", d: points.map(([x, y]) => `M${x} ${HEIGHT}V${y}`).join("") }),
  );
};

// A point alone is drawn as a short stroke, or nobody would see it.
const dot = (points) => (points.length > 1 ? line(points) : `${line(points)}h1`);

// The parts of a reply follow one another; their means add up.
export const stageBar = (stages) => {
  const total = stages.reduce((sum, stage) => sum + stage.seconds, 0) || 1;
  let begun = 0;
  const parts = stages.map((stage) => {
    const width = (stage.seconds * 1000) / total;
    const bar = { x: begun, y: 0, width: Math.max(0, width - 2), height: 24, rx: 2 };
    begun += width;
    return draw("rect", { ...bar, class: `stage ${stage.stage}` });
  });
  const label = stages.map((stage) => `${stage.stage} ${seconds(stage.seconds)}`).join(", ");
  return draw(
    "svg",
    {
      viewBox: "0 0 1000 24",
      preserveAspectRatio: "none",
      class: "stage-bar",
      role: "img",
      "aria-label": `Mean latency: ${label}`,
    },
    ...parts,
  );
};

export const stageLegend = (stages) =>
  make(
    "ul",
    { class: "legend" },
    ...stages.map((stage) =>
      make(
        "li",
        { class: stage.stage, "data-key": stage.stage },
        make("b", {}, seconds(stage.seconds)),
        ` ${stage.stage} `,
        make("span", { class: "soft" }, `${stage.meaning}, ${count(stage.replies, "time")}`),
      ),
    ),
  );

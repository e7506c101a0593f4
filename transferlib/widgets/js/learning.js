// Learning curves: a treatment's accuracy by the epoch beside its base's, and when it reaches what the base ends at.

function learning(data, form, draw) {
  const families = Object.keys(data.families), now = { family: data.start[0], n: data.start[1] };
  choose(form, "family", families, now.family, value => { now.family = value; draw(); });
  slide(form, "n, layers copied", data.depths.map(String), data.depths.indexOf(now.n), value => { now.n = data.depths[value]; draw(); });
  const indexed = accuracies => accuracies.map((value, i) => [i + 1, value]);
  const name = () => now.family.replace("n", now.n);

  function reached(svg, on, accuracies, family, below) {
    for (const { epochs } of below) {
      if (epochs == null) continue;
      mark(svg, on, epochs, accuracies[epochs - 1], family, 1.5);
      const y = on.Y(accuracies[epochs - 1]) + (family === "base" ? -11 : 21);
      add(svg, "text", { x: on.X(epochs), y, "text-anchor": "middle", "font-weight": "bold" }, `${epochs}`);
    }
  }

  return {
    draw(svg, width) {
      const runs = data.families[now.family], own = runs[now.n], height = Math.round(Math.min(340, 0.8 * width));
      const { accuracies, shares } = own?.base ?? Object.values(runs)[0].base;
      const on = plane(svg, { top: 30, width, height, x: [0.5, accuracies.length + 0.5], y: [0, data.top], xlabel: "epoch", ylabel: "top-1 accuracy (%)" });
      for (const { percent, level: value } of shares) level(svg, on, value, `${percent} % of the base's end`);
      for (const [n, run] of Object.entries(runs)) if (Number(n) !== now.n) curve(svg, on, indexed(run.accuracies), now.family, { faint: true });
      const thin = { bars: false, marks: false };
      curve(svg, on, indexed(accuracies), "base", thin);
      if (own) curve(svg, on, indexed(own.accuracies), now.family, thin);
      reached(svg, on, accuracies, "base", shares);
      if (own) reached(svg, on, own.accuracies, now.family, own.shares);
      [["base", "base"], [now.family, name()]].forEach(([family, text], i) => {
        add(svg, "path", { d: MARK[family], transform: `translate(${56 + 90 * i} 12)`, fill: COLOUR(family) });
        add(svg, "text", { x: 68 + 90 * i, y: 16 }, text);
      });
      return height;
    },
    words: () => data.words[name()],
    all: () => Object.entries(data.words),
  };
}

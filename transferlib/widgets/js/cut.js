// Cut the network: where it is cut, whose layers lie below, and whether they are trained; and what came of it.

function cut(data, form, draw, svg) {
  const KIND = { "A, the other half": "AnB", "B, its own half": "BnB", random: "RnB" };
  const sets = Object.keys(data.sets), now = { set: sets[0], n: 4, source: "A, the other half", copying: "frozen" };
  const turn = (key, value) => { now[key] = value; draw(); };
  if (sets.length > 1) choose(form, "whose network", sets, now.set, value => turn("set", value));
  choose(form, "source of the layers below the cut", Object.keys(KIND), now.source, value => turn("source", value));
  choose(form, "after copying", ["frozen", "fine-tuned"], now.copying, value => turn("copying", value));
  const depths = [1, 2, 3, 4, 5, 6, 7];
  const cutAt = slide(form, "n, layers copied", depths.map(String), now.n, value => turn("n", value), 1);
  const family = () => (KIND[now.source] === "RnB" ? "RnB" : KIND[now.source] + (now.copying === "frozen" ? "" : "+"));
  const treatment = () => (KIND[now.source] + (now.copying === "frozen" ? "" : "+")).replace("n", now.n);
  const points = (set, name) => depths.flatMap(n => {
    const run = set.runs[name.replace("n", n)];
    return run ? [[n, run.difference, run.low, run.high]] : [];
  });

  function network(width) {
    const { layers } = data.sets[now.set], named = width > 75 * Math.max(...layers.map(name => name.length));
    const step = (width - 56) / 8, wide = step * 0.78, left = k => 50 + (k - 1) * step;
    const group = add(svg, "g", { class: "drag" });
    add(group, "rect", { x: 0, y: 0, width, height: 104, fill: "transparent" });
    add(group, "text", { x: 42, y: 62, "text-anchor": "end" }, "image");
    layers.forEach((name, i) => {
      const k = i + 1, copied = k <= now.n, kept = copied && now.copying === "frozen", x = left(k);
      if (k > 1) add(group, "line", { x1: left(k - 1) + wide, x2: x, y1: 57, y2: 57, stroke: "var(--muted)" });
      const look = { fill: copied ? COLOUR(family()) : "none", stroke: "var(--ink)", "stroke-width": kept ? 2.4 : 1.2 };
      add(group, "rect", { x, y: 34, width: wide, height: 46, rx: 3, ...look, "stroke-dasharray": copied && !kept ? "5 3" : "" });
      const plate = { x: x + wide / 2 - 9, y: 38, width: 18, height: 17, rx: 3, fill: "var(--paper)" };
      add(group, "rect", plate);
      add(group, "text", { x: x + wide / 2, y: 51, "text-anchor": "middle", "font-weight": "bold" }, `${k}`);
      if (kept) lock(group, x + wide / 2, 62);
      if (named) add(group, "text", { x: x + wide / 2, y: 97, "text-anchor": "middle" }, name);
    });
    const at = left(now.n + 1) - (step - wide) / 2;
    add(group, "line", { class: "cut", x1: at, x2: at, y1: 22, y2: 88, stroke: "var(--ink)", "stroke-width": 2.5, "stroke-dasharray": "5 3" });
    add(group, "circle", { cx: at, cy: 22, r: 7, fill: "var(--ink)" });
    const copied = now.copying === "frozen" ? "frozen" : "trained on";
    add(group, "text", { x: Math.max(at - 14, 88), y: 14, "text-anchor": "end" }, `copied, ${copied}`);
    add(group, "text", { x: Math.min(at + 14, width - 62), y: 14 }, "start anew");
    follow(svg, group, x => {
      const n = Math.max(1, Math.min(7, Math.round((x - 50 + (step - wide) / 2) / step)));
      if (n !== now.n) cutAt.set(n);
    });
  }

  function lock(group, x, y) {
    add(group, "rect", { x: x - 8, y: y - 6, width: 16, height: 20, rx: 3, fill: "var(--paper)" });
    add(group, "path", { d: `M${x - 5} ${y + 3}h10v8h-10ZM${x - 3} ${y + 3}v-3a3 3 0 0 1 6 0v3`, fill: "none", stroke: "var(--ink)", "stroke-width": 1.6 });
  }

  function curves(width, top, height) {
    const set = data.sets[now.set], families = [...new Set(Object.values(set.runs).map(run => run.family))];
    const shown = families.filter(name => name !== "RnB" || now.source === "random"); // far below: it would press the rest flat
    const near = Object.values(data.sets).flatMap(one => ["BnB", "BnB+", "AnB", "AnB+"].flatMap(name => points(one, name)));
    const y = reach(now.source === "random" ? [...near, ...points(set, "RnB")] : near, [0]); // one scale for all networks
    const on = plane(svg, { top, width, height: top + height, x: [-0.3, 7.3], y, at: [0, ...depths], xlabel: "n, layers copied", ylabel: "top-1 minus base (points)" });
    level(svg, on, 0);
    mark(svg, on, 0, 0, "base");
    for (const name of shown) if (name !== family()) curve(svg, on, points(set, name), name, { faint: true, marks: true });
    if (shown.includes(family())) curve(svg, on, points(set, family()), family());
    const run = set.runs[treatment()];
    if (!run) return;
    mark(svg, on, now.n, run.difference, family(), 1.9);
    if (run.low != null) bar(svg, on, now.n, run.low, run.high, "var(--ink)", 2.2);
    add(svg, "line", { x1: on.X(now.n), x2: on.X(now.n), y1: top, y2: on.bottom, stroke: "var(--muted)", "stroke-dasharray": "2 4" });
  }

  return {
    draw(_, width) {
      const height = Math.round(Math.min(300, 0.72 * width));
      network(width);
      curves(width, 116, height);
      key(svg, width, 116 + height + 14, ["base", "BnB", "BnB+", "AnB", "AnB+", "RnB"]);
      return 116 + height + 24;
    },
    words: () => data.words[`${now.set}: ${treatment()}`],
    all: () => Object.entries(data.words),
  };
}

function key(svg, width, y, families) {
  const step = Math.min(80, (width - 20) / families.length);
  families.forEach((name, i) => {
    add(svg, "path", { d: MARK[name], transform: `translate(${14 + i * step} ${y - 4})`, fill: COLOUR(name) });
    add(svg, "text", { x: 24 + i * step, y }, name);
  });
}

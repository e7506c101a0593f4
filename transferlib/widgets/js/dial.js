// The similarity dial: how alike two drawn halves are, an image of each class of both, and what a cut costs.

function dial(data, form, draw) {
  let at = 0;
  slide(form, "similarity of the halves", data.turns.map(one => one.similarity), at, value => { at = value; draw(); });
  return {
    draw(svg, width) {
      const side = (width - 12) / 2, tall = side * 0.4, height = Math.round(Math.min(300, 0.72 * width));
      [data.A, data.turns[at].B].forEach((source, i) => {
        const x = i * (side + 12), words = `half ${"AB"[i]}: an image of each class`;
        add(svg, "text", { x, y: 14 }, words);
        add(svg, "image", { x, y: 20, width: side, height: tall, href: source, style: "image-rendering:pixelated", role: "img", "aria-label": words });
      });
      const top = 20 + tall + 16, y = reach(data.turns.flatMap(one => one.rows), [0]);
      const on = plane(svg, { top, width: width - 22, height: top + height, x: [0.7, 7.3], y, at: [1, 2, 3, 4, 5, 6, 7], xlabel: "n, layers copied and frozen", ylabel: "top-1 minus base (points)" });
      level(svg, on, 0, "base at the same similarity", "end");
      const others = data.turns.map((one, k) => [k, one.similarity, one.rows]).filter(([k]) => k !== at);
      others.forEach(([, , rows]) => curve(svg, on, rows, "AnB", { faint: true }));
      let above = Infinity; // names of lines that would lie on one another move apart
      const ends = others.map(([, name, rows]) => [rows.at(-1), name]).sort((a, b) => b[0][1] - a[0][1]).reverse();
      for (const [[x, value], name] of ends) {
        above = Math.min(on.Y(value), above - 13);
        add(svg, "text", { x: on.X(x) + 8, y: above + 4 }, name);
      }
      curve(svg, on, data.turns[at].rows, "AnB");
      return top + height;
    },
    words: () => data.turns[at].words,
    all: () => data.turns.map(one => [one.similarity, one.words]),
  };
}

for (const figure of document.querySelectorAll(".heat")) {
  const layer = figure.querySelector(".layer");
  const slider = Object.assign(document.createElement("input"), {
    type: "range", min: "0", max: "100", value: "100",
  });
  slider.addEventListener("input", () => { layer.style.opacity = slider.value / 100; });
  const label = document.createElement("label");
  label.append("Heatmap strength ", slider);
  figure.insertBefore(label, figure.querySelector("figcaption"));
}

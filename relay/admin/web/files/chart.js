// Lines over time, drawn as SVG.
import {h, svg, replace} from './dom.js';
import {clock} from './format.js';

const height = 170, left = 46, right = 8, top = 10, bottom = 22;

// chart draws series over samples: [{name, ink, of}], with a label made by show. What is
// under the pointer is told in the legend, and by arrow keys as well.
export function chart(title, samples, series, show) {
  const legend = h('div', {class: 'legend', 'aria-live': 'off'});
  const tell = (i) => replace(legend,
    series.map((s) => h('span', null, h('i', {class: 'fill-' + s.ink}), s.name + (i >= 0 ? ' ' + show(s.of(samples[i])) : ''))),
    i >= 0 ? h('span', null, clock(samples[i].at)) : null);
  const last = samples.length - 1;
  tell(last);
  if (samples.length < 2) {
    return h('div', {class: 'chart'}, legend, h('p', {class: 'empty'}, 'Samples come every few seconds; there are not enough for a line yet.'));
  }
  const picture = svg('svg', {role: 'img', tabindex: 0, 'aria-label': `${title}; arrow keys show values`});
  const cross = svg('line', {class: 'cross', y1: top, y2: height - bottom, visibility: 'hidden'});
  const most = nice(Math.max(...samples.flatMap((s) => series.map((k) => k.of(s)))));
  const from = Date.parse(samples[0].at), to = Date.parse(samples[last].at);
  let width = 0;
  const x = (s) => left + (Date.parse(s.at) - from) / (to - from || 1) * (width - left - right);
  const y = (v) => height - bottom - v / most * (height - top - bottom);
  const draw = () => replace(picture,
    [0, most / 2, most].map((v) => [
      svg('line', {class: 'gridline', x1: left, x2: width - right, y1: y(v), y2: y(v)}),
      svg('text', {x: left - 6, y: y(v) + 4, 'text-anchor': 'end'}, v === 0 ? '0' : show(v)),
    ]),
    svg('text', {x: left, y: height - 6}, clock(samples[0].at)),
    svg('text', {x: width - right, y: height - 6, 'text-anchor': 'end'}, clock(samples[last].at)),
    series.map((s) => svg('polyline', {class: 'series ink-' + s.ink, points: samples.map((v) => `${x(v).toFixed(1)},${y(s.of(v)).toFixed(1)}`).join(' ')})),
    cross);
  new ResizeObserver(() => {
    width = picture.clientWidth;
    if (width) draw();
  }).observe(picture);
  let at = last;
  const point = (i) => {
    at = Math.min(last, Math.max(0, i));
    cross.setAttribute('x1', x(samples[at]));
    cross.setAttribute('x2', x(samples[at]));
    cross.setAttribute('visibility', 'visible');
    tell(at);
  };
  const away = () => { cross.setAttribute('visibility', 'hidden'); at = last; tell(last); };
  picture.addEventListener('pointermove', (e) => {
    const box = picture.getBoundingClientRect();
    const px = e.clientX - box.left;
    let near = 0;
    for (let i = 1; i <= last; i++) if (Math.abs(x(samples[i]) - px) < Math.abs(x(samples[near]) - px)) near = i;
    point(near);
  });
  picture.addEventListener('pointerleave', away);
  picture.addEventListener('blur', away);
  picture.addEventListener('keydown', (e) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
    if (step) { e.preventDefault(); point(at + step); }
  });
  return h('div', {class: 'chart'}, legend, picture);
}

// nice is the round number above.
function nice(v) {
  if (v <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(v));
  return unit * [1, 2, 4, 5, 10].find((n) => n * unit >= v);
}

// How the relay does: what waits, what moves, and how fast.
import {h, replace, table, badge} from './dom.js';
import {get, query} from './api.js';
import {chart} from './chart.js';
import {ages} from './destinations.js';
import {count, short, rate, milliseconds, age, until} from './format.js';

export function overview({page, again, signal}) {
  const figures = h('div', {class: 'figures'}), charts = h('div', {class: 'grid'}), lists = h('div', {class: 'grid'});
  let span = 'hour';
  const choose = h('select', {'aria-label': 'Span', id: 'span', onchange() { span = choose.value; dispatchEvent(new Event('changed')); }},
    h('option', {value: 'hour'}, 'Last hour'), h('option', {value: 'day'}, 'Last day'));
  replace(page, h('div', {class: 'row apart'}, h('h1', null, 'Overview'), h('div', null, choose)), figures, charts, lists);
  again(async () => {
    const [stats, samples, bins] = await Promise.all([
      get('/v1/stats?limit=8', signal), get('/v1/trend?' + query({span}), signal), get('/v1/destinations', signal)]);
    drawFigures(figures, stats, samples, bins);
    if (!charts.contains(document.activeElement) && !charts.matches(':hover')) drawCharts(charts, samples);
    drawLists(lists, stats, bins);
  }, 10000);
}

function drawFigures(at, stats, samples, bins) {
  const last = samples.slice(-6);
  const span = last.reduce((n, s) => n + s.seconds, 0) || 1;
  const sum = (k) => last.reduce((n, s) => n + s[k], 0) / span;
  const closed = bins.filter((b) => b.closed).length, paused = bins.filter((b) => b.paused).length;
  const figure = (value, name, bad) => h('div', {class: bad ? 'figure bad' : 'figure'}, h('b', null, value), h('span', null, name));
  replace(at,
    figure(count(stats.deliveries), 'deliveries waiting'),
    figure(stats.oldest ? age(stats.oldest) : '–', 'age of the oldest'),
    figure(rate(sum('accepted')) + '/s', 'messages accepted'),
    figure(rate(sum('delivered')) + '/s', 'recipients delivered'),
    figure(milliseconds(last.at(-1)?.answer_p99_ms ?? 0), 'p99 of the 250'),
    figure(count(closed), closed === 1 ? 'destination closed' : 'destinations closed', closed > 0),
    stats.held ? figure(count(stats.held), 'deliveries held') : null,
    paused ? figure(count(paused), paused === 1 ? 'destination paused' : 'destinations paused') : null);
}

function drawCharts(at, samples) {
  const per = (k) => (s) => s[k] / (s.seconds || 1);
  const panel = (title, series, show) => h('section', {class: 'panel'}, h('h2', null, title), chart(title, samples, series, show));
  replace(at,
    panel('Messages and recipients per second', [
      {name: 'accepted', ink: 'accent', of: per('accepted')}, {name: 'delivered', ink: 'good', of: per('delivered')},
      {name: 'deferred', ink: 'warn', of: per('deferred')}, {name: 'failed', ink: 'bad', of: per('failed')}], rate),
    panel('Deliveries waiting', [{name: 'waiting', ink: 'accent', of: (s) => s.queued}], short),
    panel('Time to the 250', [
      {name: 'median', ink: 'accent', of: (s) => s.answer_p50_ms}, {name: 'p99', ink: 'warn', of: (s) => s.answer_p99_ms}], milliseconds),
    panel('Time to delivery', [
      {name: 'median', ink: 'good', of: (s) => s.delivery_p50_ms}, {name: 'p99', ink: 'warn', of: (s) => s.delivery_p99_ms}], milliseconds));
}

function drawLists(at, stats, bins) {
  const trouble = bins.filter((b) => b.closed || b.paused);
  const link = (name) => h('a', {href: '#/destination/' + encodeURIComponent(name)}, name);
  replace(at,
    h('section', {class: 'panel'}, h('h2', null, 'Most mail waiting'), table('Most mail waiting', [
      {name: 'Destination', kind: 'wide', label: '', of: (r) => link(r.destination)},
      {name: 'Waiting', kind: 'number', of: (r) => count(r.deliveries)},
      {name: 'Oldest', kind: 'number', of: (r) => r.oldest ? age(r.oldest) : ''},
      {name: 'Ages', kind: 'wide', label: '', of: (r) => ages(r.ages, stats.minutes)},
    ], stats.rows, 'Nothing waits.')),
    h('section', {class: 'panel'}, h('h2', null, 'Closed or paused'), table('Closed or paused', [
      {name: 'Destination', kind: 'wide', label: '', of: (b) => link(b.destination)},
      {name: 'State', kind: 'tight', of: (b) => badge(b.paused ? 'paused' : 'closed')},
      {name: 'Next probe', kind: 'tight', of: (b) => b.paused ? '' : until(b.until)},
      {name: 'Why', kind: 'wide small', label: '', of: (b) => b.paused ? `${b.paused.author}: ${b.paused.reason}` : b.reason},
    ], trouble.slice(0, 8), 'Every way is open.'),
    trouble.length > 8 ? h('a', {href: '#/destinations'}, `and ${count(trouble.length - 8)} more`) : null));
}

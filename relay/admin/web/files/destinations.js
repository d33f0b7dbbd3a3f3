// Where mail goes, how that stands, and why it is not faster.
import {h, replace, table, badge} from './dom.js';
import {get} from './api.js';
import {askDestination, askAction} from './dialog.js';
import {count, age, until, moment, rate} from './format.js';

const most = 300;

// ages draws how long mail waits: green up to ten minutes, blue up to an hour or so, amber up
// to five hours, red beyond.
export function ages(counts, minutes) {
  const groups = [[0, 2], [2, 5], [5, 7], [7, counts.length]].map(([a, b]) => counts.slice(a, b).reduce((n, v) => n + v, 0));
  const names = [[0, 2], [2, 5], [5, 7]].map(([, b]) => `up to ${minutes[b - 1]} min`).concat(`over ${minutes[6]} min`);
  const sum = groups.reduce((n, v) => n + v, 0) || 1;
  const text = groups.map((n, i) => `${count(n)} ${names[i]}`).filter((_, i) => groups[i]).join(', ');
  const bar = h('div', {class: 'ages', role: 'img', 'aria-label': text || 'none', title: text});
  groups.forEach((n, i) => {
    if (n === 0) return;
    const part = h('i', {class: 'age-' + i});
    part.style.width = n / sum * 100 + '%';
    bar.append(part);
  });
  return bar;
}

function stateOf(b) {
  if (b.paused) return 'paused';
  return b.closed ? 'closed' : 'open';
}

// join puts together what waits on disk and what the scheduler has open.
function join(stats, bins) {
  const all = new Map(bins.map((b) => [b.destination, {bin: b, name: b.destination, waiting: 0}]));
  for (const r of stats.rows) {
    const v = all.get(r.destination) ?? {bin: null, name: r.destination};
    all.set(r.destination, {...v, depth: r, waiting: r.deliveries});
  }
  return [...all.values()].sort((a, b) => b.waiting - a.waiting || a.name.localeCompare(b.name));
}

export function destinations({page, again, signal, session}) {
  const filter = h('input', {type: 'search', placeholder: 'part of a name', autocomplete: 'off'});
  const at = h('section', {class: 'panel'}), pauses = h('div');
  const draw = () => {
    const word = filter.value.trim().toLowerCase();
    const rows = all.filter((r) => r.name.toLowerCase().includes(word));
    replace(at, table('Destinations', [
      {name: 'Destination', kind: 'wide', label: '', of: (r) => h('a', {href: '#/destination/' + encodeURIComponent(r.name)}, r.name)},
      {name: 'State', kind: 'tight', of: (r) => badge(r.bin ? stateOf(r.bin) : 'waiting')},
      {name: 'Waiting', kind: 'number', of: (r) => count(r.waiting)},
      {name: 'Oldest', kind: 'number', of: (r) => r.depth?.oldest ? age(r.depth.oldest) : '–'},
      {name: 'Connections', kind: 'number', of: (r) => r.bin ? `${r.bin.connections} of ${r.bin.window}` : '–'},
      {name: 'Ages', kind: 'wide', label: '', of: (r) => r.depth ? ages(r.depth.ages, minutes) : ''},
      {name: 'Why', kind: 'wide small', label: '', of: (r) => why(r.bin)},
    ], rows.slice(0, most), all.length ? 'No destination has that in its name.' : 'Nothing waits, and nothing is open.'),
    rows.length > most ? h('p', {class: 'quiet'}, `and ${count(rows.length - most)} more: filter by name`) : null);
  };
  let all = [], minutes = [];
  filter.addEventListener('input', draw);
  replace(page, h('div', {class: 'row apart'}, h('h1', null, 'Destinations'), h('label', null, 'Filter', filter)), pauses, at);
  again(async () => {
    const [stats, bins, orders] = await Promise.all([
      get('/v1/stats?limit=1000', signal), get('/v1/destinations', signal), get('/v1/pauses', signal)]);
    all = join(stats, bins);
    minutes = stats.minutes;
    drawPauses(pauses, orders, session);
    draw();
  }, 10000);
}

function why(b) {
  if (!b) return '';
  if (b.paused) return `${b.paused.author}: ${b.paused.reason}`;
  return b.closed ? `${b.reason} – next probe ${until(b.until)}` : '';
}

function drawPauses(at, orders, session) {
  replace(at, orders.length === 0 ? null : h('section', {class: 'panel'}, h('h2', null, 'Pauses in force'), table('Pauses in force', [
    {name: 'For', of: (p) => p.destination}, {name: 'By', of: (p) => p.author}, {name: 'Since', kind: 'tight', of: (p) => moment(p.since)},
    {name: 'Reason', kind: 'wide', of: (p) => p.reason},
    {name: '', of: (p) => session.changes ? h('button', {onclick: () => askDestination('resume', p.destination)}, 'Resume') : ''},
  ], orders, '')));
}

// destination shows one.
export function destination({page, argument, again, signal, session}) {
  const at = h('div');
  replace(page, h('h1', null, argument), at);
  again(async () => {
    let d;
    try {
      d = await get('/v1/destinations/' + encodeURIComponent(argument), signal);
    } catch (e) {
      if (e.status !== 404) throw e;
      replace(at, h('p', {class: 'notice'}, e.message));
      return;
    }
    const b = d.bin;
    const ask = (action, name) => h('button', {id: action, onclick: () => askDestination(action, argument)}, name);
    const bulk = (action, name, danger) => h('button', {class: danger && 'danger', onclick: () => askAction(action, {destination: argument}, false, 'all mail for ' + argument)}, name);
    const buttons = session.changes ? h('div', {class: 'row'},
      b.paused ? ask('resume', 'Resume') : ask('pause', 'Pause'), ask('retry', 'Try now'),
      bulk('hold', 'Hold all'), bulk('release', 'Release all'), bulk('delete', 'Delete all', true)) : null;
    replace(at,
      h('div', {class: 'row apart'}, h('div', {class: 'row'}, badge(stateOf(b)), h('a', {href: '#/queue?destination=' + encodeURIComponent(argument)}, 'Show its mail')), buttons),
      b.paused ? h('p', {class: 'notice warn'}, `Paused by ${b.paused.author} since ${moment(b.paused.since)}: ${b.paused.reason}`) : null,
      b.closed ? h('p', {class: 'notice bad'}, `${b.reason} – next probe ${until(b.until)}`) : null,
      h('div', {class: 'grid'},
        h('section', {class: 'panel'}, h('h2', null, 'What waits'), h('dl', {class: 'facts'},
          fact('Deliveries', count(d.depth.deliveries)), fact('Due now', count(d.depth.due)), fact('Held', count(d.depth.held)),
          fact('Oldest', d.depth.oldest ? age(d.depth.oldest) : '–'), fact('Ages', ages(d.depth.ages, d.minutes)))),
        h('section', {class: 'panel'}, h('h2', null, 'The way there'), h('dl', {class: 'facts'},
          fact('Site', b.site || '–'), fact('Connections', `${b.connections}, of which ${b.idle} idle`), fact('Window', b.window),
          fact('Being delivered', count(b.away)), fact('In memory', count(b.loaded)),
          fact('Slowed by', d.pace.binding || 'nothing'), fact('Could reach', d.pace.reach ? rate(d.pace.reach) + ' messages/s' : '–')))),
      h('section', {class: 'panel'}, h('h2', null, 'Connections'), table('Connections', [
        {name: 'Doing', kind: 'tight', of: (c) => [badge(c.phase, c.phase === 'carrying' ? 'accent' : ''), c.written_off ? [' ', badge('given up', 'bad')] : null]},
        {name: 'For', kind: 'number', of: (c) => age(c.since)},
        {name: 'Message', kind: 'mono wide', of: (c) => c.id ? h('a', {href: '#/message/' + c.id}, c.id) : ''},
      ], (d.open ?? []).slice(0, 50), b.closed ? 'None is open: the way is closed.' : 'None is open.'),
      d.open?.length > 50 ? h('p', {class: 'quiet'}, `and ${count(d.open.length - 50)} more`) : null),
      h('section', {class: 'panel'}, h('h2', null, 'Limits on the way'), table('Limits', [
        {name: 'Limit', kind: 'wide', label: '', of: (l) => l.name},
        {name: 'Rate', kind: 'tight', of: (l) => l.rate ? rate(l.rate) + '/s' : '–'},
        {name: 'Binds', kind: 'tight', of: (l) => l.binds ? badge('binds', 'warn') : ''},
        {name: 'Until', kind: 'tight', of: (l) => l.until ? until(l.until) : ''},
        {name: 'About it', kind: 'wide small', label: '', of: (l) => l.reason ?? ''},
      ], d.pace.limits ?? [], 'Nothing is known: no connection is open.')));
  }, 5000);
}

function fact(name, value) { return [h('dt', null, name), h('dd', null, value)]; }

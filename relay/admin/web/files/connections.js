// Connections to next hops, by phase, and what they carry.
import {h, replace, table, badge} from './dom.js';
import {get} from './api.js';
import {age, until, count} from './format.js';

export function connections({page, again, signal}) {
  const at = h('div');
  replace(page, h('h1', null, 'Connections'), at);
  again(async () => {
    const v = await get('/v1/connections', signal);
    const sum = (k) => count(v.sites.reduce((n, s) => n + s[k], 0));
    const figure = (value, name) => h('div', {class: 'figure'}, h('b', null, value), h('span', null, name));
    replace(at,
      h('div', {class: 'figures'}, figure(sum('opening'), 'being opened'), figure(sum('carrying'), 'carrying mail'), figure(sum('idle'), 'idle'),
        figure(count(v.sites.filter((s) => s.closed).length), 'sites closed')),
      h('section', {class: 'panel'}, h('h2', null, 'Sites'), table('Sites', [
        {name: 'Site', kind: 'wide', label: '', of: (s) => s.name},
        {name: 'State', kind: 'tight', of: (s) => badge(s.closed ? 'closed' : 'open')},
        {name: 'Opening', kind: 'number', of: (s) => s.opening}, {name: 'Carrying', kind: 'number', of: (s) => s.carrying},
        {name: 'Idle', kind: 'number', of: (s) => s.idle}, {name: 'Window', kind: 'number', of: (s) => s.window},
        {name: 'Destinations', kind: 'number', of: (s) => s.destinations},
        {name: 'Why', kind: 'wide small', label: '', of: (s) => s.closed ? `${s.reason} – next probe ${until(s.until)}` : ''},
      ], v.sites.slice(0, 500), 'There is no connection.')),
      h('section', {class: 'panel'}, h('h2', null, 'Attempts under way, the oldest first'), table('Attempts', [
        {name: 'Message', kind: 'mono tight wide', label: '', of: (a) => h('a', {href: '#/message/' + a.id}, a.id)},
        {name: 'For', kind: 'number', of: (a) => age(a.since)}, {name: 'Host', kind: 'wide', of: (a) => a.host}, {name: 'Address', kind: 'mono', of: (a) => a.addr},
      ], v.attempts, 'Nothing is being delivered at this moment.'), v.more ? h('p', {class: 'quiet'}, `and ${count(v.more)} more`) : null));
  }, 2000);
}

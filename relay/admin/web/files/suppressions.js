// For whom no mail is taken, since when and why.
import {h, replace, table} from './dom.js';
import {list, post, query} from './api.js';
import {ask} from './dialog.js';
import {moment, until, several} from './format.js';

const most = 300;

export function suppressions({page, query: asked, again, signal, session}) {
  const pattern = asked.get('address') ?? '';
  const filter = h('input', {name: 'address', type: 'search', value: pattern, placeholder: 'anna@* or *@example.com', autocomplete: 'off', spellcheck: 'false'});
  const form = h('form', {class: 'filters', 'aria-label': 'Filter', role: 'search'},
    h('label', null, 'Address', filter), h('div', {class: 'row'}, h('button', {class: 'main', type: 'submit'}, 'Search'), h('a', {class: 'small', href: '#/suppressions'}, 'Reset')));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const next = '#/suppressions?' + query({address: filter.value.trim()});
    if (next === location.hash) dispatchEvent(new Event('changed')); else location.hash = next;
  });
  const at = h('section', {class: 'panel'});
  replace(page,
    h('div', {class: 'row apart'}, h('h1', null, 'Suppressions'), session.changes ? h('button', {id: 'suppress', 'data-action': 'suppress', onclick: askAdd}, 'Suppress an address') : null),
    h('section', {class: 'panel'}, form, h('p', {class: 'small quiet'}, 'Mail for them is refused at RCPT: they do not exist, as a next hop has said, or somebody does not want them to get mail. Notices and postmasters are never concerned.')), at);
  again(async () => {
    const all = [];
    for await (const e of list('/v1/suppressions?' + query({address: pattern, limit: most + 1}), signal)) all.push(e);
    const more = all.length > most;
    replace(at,
      h('p', {class: 'quiet small', role: 'status'}, all.length === 0 ? '' : more ? `The first ${most}: search for the others` : several(all.length, 'address', 'addresses')),
      table('Suppressions', columns(session), all.slice(0, most), pattern ? 'Nobody like that is suppressed.' : 'Nobody is suppressed.'));
  }, 30000);
}

function columns(session) {
  return [
    {name: 'Address', kind: 'wide breaks', label: '', of: (e) => e.address},
    {name: 'For', kind: 'tight', of: (e) => e.scope === 'global' ? 'all mail' : 'mail of ' + e.scope.replace(/^\w+:/, '')},
    {name: 'Since', kind: 'tight', of: (e) => moment(e.since)},
    {name: 'Ends', kind: 'tight', of: (e) => e.until ? until(e.until) : 'never'},
    {name: 'By', of: (e) => e.author || e.host || 'a next hop'},
    {name: 'Why', kind: 'wide small breaks', of: (e) => e.reason},
    session.changes ? {name: '', of: (e) => h('button', {'data-action': 'unsuppress', 'aria-label': 'Remove ' + e.address, onclick: () => askRemove(e)}, 'Remove')} : null,
  ].filter(Boolean);
}

function askAdd() {
  ask({
    title: 'Suppress an address?', text: h('p', {class: 'quiet'}, 'Clients that send there are answered 550 5.1.1 or 550 5.7.1, with the reason. What is queued already is not touched.'),
    fields: [{name: 'address', label: 'Address', required: true, placeholder: 'anna@example.com', type: 'text'},
      {name: 'days', label: 'For how many days; empty for ever', type: 'number', min: 1, max: 3650}],
    confirm: 'Suppress', danger: true,
    async run(v) {
      const one = {address: v.address};
      if (v.days) one.until = new Date(Date.now() + v.days * 86400e3).toISOString();
      const t = await post('/v1/suppressions', {suppressions: [one], reason: v.reason});
      return t.changed ? `${v.address} is suppressed` : `${v.address} was suppressed before`;
    },
  });
}

function askRemove(e) {
  ask({
    title: `Remove ${e.address}?`, text: h('p', {class: 'quiet'}, 'Mail for it is taken again. If the next hop still does not know it, it comes back to the list.'),
    confirm: 'Remove',
    async run(v) {
      const t = await post('/v1/suppressions/remove', {addresses: [e.address], scope: e.scope, reason: v.reason});
      return t.changed ? `${e.address} is suppressed no longer` : `${e.address} was not on the list any more`;
    },
  });
}

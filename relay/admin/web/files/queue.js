// What waits: searched, and changed.
import {h, replace, fill, badge} from './dom.js';
import {list, query} from './api.js';
import {askAction} from './dialog.js';
import {age, bytes, until, sender, several} from './format.js';

const states = ['', 'due', 'active', 'deferred', 'blocked', 'paused', 'held'];
const names = ['sender', 'recipient', 'destination', 'user', 'tag', 'state'];
const pageSize = 100;

export function queue({page, query: asked, session, signal}) {
  const input = (name, hint) => h('label', null, hint[0], h('input', {name, value: asked.get(name) ?? '', placeholder: hint[1], autocomplete: 'off', spellcheck: 'false'}));
  const state = h('select', {name: 'state'}, states.map((s) => h('option', {value: s, selected: s === (asked.get('state') ?? '')}, s || 'any')));
  const form = h('form', {class: 'filters', 'aria-label': 'Filter'},
    input('sender', ['Sender', '*@shop.example']), input('recipient', ['Recipient', 'anna@*']), input('destination', ['Destination', 'internet/*']),
    h('label', null, 'State', state), input('user', ['User', '']), input('tag', ['Tag', '']),
    h('div', {class: 'row'}, h('button', {class: 'main', type: 'submit'}, 'Search'), h('a', {class: 'small', href: '#/queue'}, 'Reset')));
  const selection = Object.fromEntries(names.map((n) => [n, asked.get(n) ?? '']).filter(([, v]) => v));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const next = '#/queue?' + query(Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, v.trim()])));
    if (next === location.hash) refresh(); else location.hash = next;
  });

  const picked = new Map(), body = h('tbody'), status = h('p', {class: 'quiet small', role: 'status'});
  const more = h('button', {hidden: true, onclick: () => load()}, 'Show more');
  const actions = h('div', {class: 'row'});
  const columns = columnsOf(picked, () => drawActions(actions, session, picked, selection));
  let from = '', shown = 0, loading = new AbortController();
  const refresh = () => {
    loading.abort();
    loading = new AbortController();
    picked.clear();
    from = '';
    shown = 0;
    body.replaceChildren();
    drawActions(actions, session, picked, selection);
    load();
  };
  const found = h('div', {class: 'scroll'}, h('table', {class: 'cards', 'aria-label': 'Deliveries'},
    h('thead', null, h('tr', null, columns.map((c) => h('th', {scope: 'col', class: c.kind}, c.name)))), body));
  const load = async () => {
    const mine = loading, rows = [];
    more.hidden = true;
    status.textContent = 'Looking…';
    try {
      let next = '';
      for await (const line of list('/v1/queue?' + query({...selection, limit: pageSize, from}), AbortSignal.any([mine.signal, signal]))) {
        if (line.next) next = line.next; else rows.push(line);
      }
      fill(body, columns, rows);
      shown += rows.length;
      from = next;
      more.hidden = !next;
      found.hidden = actions.hidden = shown === 0;
      status.textContent = shown === 0 ? (Object.keys(selection).length ? 'Nothing in the queue is like that.' : 'The queue is empty.') : several(shown, 'delivery', 'deliveries') + (next ? ' shown, there are more' : '');
    } catch (e) {
      if (e.name !== 'AbortError') { status.textContent = e.message; }
    }
  };
  replace(page, h('h1', null, 'Queue'), h('section', {class: 'panel'}, form),
    h('section', {class: 'panel'}, h('div', {class: 'row apart'}, status, h('div', {class: 'row'}, actions, h('button', {onclick: refresh}, 'Refresh'))),
      found,
      more));
  addEventListener('changed', refresh, {signal});
  refresh();
}

function columnsOf(picked, changed) {
  return [
    {name: '', kind: 'tick', label: '', of: (e) => h('input', {
      type: 'checkbox', 'aria-label': 'Select ' + e.id,
      onchange(ev) {
        const n = (picked.get(e.id) ?? 0) + (ev.target.checked ? 1 : -1);
        if (n > 0) picked.set(e.id, n); else picked.delete(e.id);
        changed();
      },
    })},
    {name: 'Message', kind: 'mono tight wide', label: '', of: (e) => h('a', {href: '#/message/' + e.id}, e.id)},
    {name: 'From', kind: 'wide', of: (e) => sender(e.sender)},
    {name: 'To', kind: 'wide', of: (e) => (e.recipients ?? []).slice(0, 3).join(', ') + (e.recipients?.length > 3 ? ` and ${e.recipients.length - 3} more` : '')},
    {name: 'Age', kind: 'number', of: (e) => age(e.received)},
    {name: 'Size', kind: 'number', of: (e) => bytes(e.size)},
    {name: 'Tries', kind: 'number', of: (e) => e.attempts},
    {name: 'State', kind: 'tight', of: (e) => badge(e.state)},
    {name: 'Why it is here', kind: 'wide small', of: (e) => [e.reason, e.state === 'deferred' ? h('div', {class: 'quiet'}, 'next attempt ' + until(e.due)) : null]},
  ];
}

function drawActions(at, session, picked, selection) {
  if (!session.changes) return;
  const some = picked.size > 0;
  const everything = Object.keys(selection).length === 0;
  const select = some ? {ids: [...picked.keys()]} : chosen(selection);
  const what = some ? several(picked.size, 'message') : everything ? 'everything in the queue' : 'all that is like this';
  const button = (action, name, danger) => h('button', {class: danger && 'danger', 'data-action': action, onclick: () => askAction(action, select, !some && everything, what)}, name);
  replace(at, h('span', {class: 'small quiet'}, some ? several(picked.size, 'message') + ' selected:' : everything ? 'All:' : 'All like this:'),
    button('hold', 'Hold'), button('release', 'Release'), button('retry', 'Retry'), button('bounce', 'Bounce', true), button('delete', 'Delete', true));
}

// chosen is the filter as actions want it.
function chosen({state, ...rest}) { return state ? {...rest, states: [state]} : rest; }

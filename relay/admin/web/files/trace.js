// Where is this message? By what one has in hand.
import {h, replace, table, badge} from './dom.js';
import {list, query} from './api.js';
import {moment, several, sender} from './format.js';

export function trace({page, query: asked, signal}) {
  const kinds = {recipient: 'Recipient', sender: 'Sender', message_id: 'Message-ID', id: 'Queue id'};
  const kind = Object.keys(kinds).find((k) => asked.get(k)) ?? 'recipient';
  const by = h('select', {name: 'by'}, Object.entries(kinds).map(([k, n]) => h('option', {value: k, selected: k === kind}, n)));
  const text = h('input', {name: 'text', type: 'search', required: true, value: asked.get(kind) ?? '', autocomplete: 'off', spellcheck: 'false', placeholder: 'anna@example.com'});
  const form = h('form', {class: 'filters', 'aria-label': 'Search', role: 'search'},
    h('label', null, 'Look for', by), h('label', null, 'Which is', text), h('div', {class: 'row'}, h('button', {class: 'main', type: 'submit'}, 'Find')));
  const at = h('section', {class: 'panel'});
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const next = '#/trace?' + query({[by.value]: text.value.trim()});
    if (next === location.hash) find(at, asked, kind, signal); else location.hash = next;
  });
  replace(page, h('h1', null, 'Trace'), h('section', {class: 'panel'}, form, h('p', {class: 'small quiet'}, 'Whole addresses, without patterns. What has left the queue is found as long as the history goes back.')), at);
  if (asked.get(kind)) find(at, asked, kind, signal); else { at.hidden = true; text.focus(); }
}

async function find(at, asked, kind, signal) {
  replace(at, h('p', {class: 'quiet', role: 'status'}, 'Looking…'));
  try {
    const lives = [];
    for await (const l of list('/v1/trace?' + query({[kind]: asked.get(kind), limit: 100}), signal)) lives.push(l);
    replace(at, h('p', {class: 'quiet small', role: 'status'}, lives.length ? several(lives.length, 'message') + (lives.length === 100 ? ', the latest' : '') : ''),
      table('Messages', [
        {name: 'Message', kind: 'mono tight wide', label: '', of: (l) => h('a', {href: '#/message/' + l.id}, l.id)},
        {name: 'Received', kind: 'tight', of: (l) => moment(l.received)},
        {name: 'From', kind: 'wide', of: (l) => sender(l.sender)},
        {name: 'To', kind: 'wide', of: (l) => l.recipients.slice(0, 3).join(', ') + (l.recipients.length > 3 ? ` and ${l.recipients.length - 3} more` : '')},
        {name: 'Subject', kind: 'wide', of: (l) => l.subject ?? ''},
        {name: 'Now', kind: 'tight', of: (l) => fates(l)},
      ], lives, 'Nothing is known of such a message. It was never here, or is forgotten.'));
  } catch (e) {
    if (e.name !== 'AbortError') replace(at, h('p', {class: 'notice bad', role: 'alert'}, e.message));
  }
}

// fates are how its recipients stand, in badges.
function fates(life) {
  const words = new Set((life.events ?? []).filter((e) => e.final).map((e) => e.event));
  for (const w of life.waiting ?? []) words.add(w.state);
  if (life.queued && !life.waiting?.length) words.add('queued');
  return [...words].map((w) => [badge(w), ' ']);
}

// What happens, as it happens.
import {h, replace, badge} from './dom.js';
import {list, query} from './api.js';
import {clock, count} from './format.js';

const most = 300;
const kinds = {
  '': 'everything', 'accepted': 'accepted', 'refused': 'refused', 'delivered': 'delivered', 'deferred': 'deferred',
  'bounced,expired': 'bounced or expired', 'unreachable,reachable': 'ways closed and opened', 'fault': 'faults of ours',
};

export function events({page, signal}) {
  const kind = h('select', {name: 'event'}, Object.entries(kinds).map(([k, n]) => h('option', {value: k}, n)));
  const who = h('input', {name: 'to', placeholder: '*@example.com', autocomplete: 'off', spellcheck: 'false'});
  const status = h('p', {class: 'quiet small', role: 'status'}), body = h('tbody');
  const pause = h('button', {'aria-pressed': 'false', onclick() { held = !held; pause.setAttribute('aria-pressed', held); pause.textContent = held ? 'Go on' : 'Pause'; flush(); }}, 'Pause');
  let held = false, stream = new AbortController(), waiting = [];
  const flush = () => {
    if (held || waiting.length === 0) return;
    body.prepend(...waiting.splice(0).slice(-most).reverse().map(row));
    while (body.children.length > most) body.lastElementChild.remove();
  };
  const start = async () => {
    stream.abort();
    const mine = stream = new AbortController();
    body.replaceChildren();
    waiting = [];
    status.textContent = 'Waiting for something to happen…';
    let seen = 0;
    try {
      for await (const e of list('/v1/events?' + query({event: kind.value, to: who.value.trim()}), AbortSignal.any([mine.signal, signal]))) {
        waiting.push(e);
        if (waiting.length > most) waiting.shift();
        status.textContent = count(++seen) + ' so far';
      }
      status.textContent += '. The stream has ended.';
    } catch (e) {
      if (e.name !== 'AbortError') status.textContent = e.message;
    }
  };
  const timer = setInterval(flush, 250);
  signal.addEventListener('abort', () => clearInterval(timer));
  kind.addEventListener('change', start);
  who.addEventListener('change', start);
  replace(page, h('h1', null, 'Live'),
    h('section', {class: 'panel'}, h('form', {class: 'filters', 'aria-label': 'Filter', onsubmit: (e) => e.preventDefault()},
      h('label', null, 'What', kind), h('label', null, 'Recipient', who), h('div', {class: 'row'}, pause))),
    h('section', {class: 'panel'}, status, h('div', {class: 'scroll'}, h('table', {class: 'cards', 'aria-label': 'Events'}, body))));
  start();
}

function row(e) {
  const about = e.site ?? e.doing ?? [e.from && `from ${e.from}`, e.to && `to ${e.to}`, !e.to && e.recipients && `to ${e.recipients} recipients`].filter(Boolean).join(' ');
  const more = [e.host && `by ${e.host}`, e.code && [e.code, e.enhanced, e.reply].filter(Boolean).join(' '), e.reason, e.cause, e.lost && `${e.lost} events missed`].filter(Boolean).join(' · ');
  return h('tr', null, h('td', {class: 'tight mono'}, clock(e.time)), h('td', {class: 'tight'}, badge(e.event)),
    h('td', {class: 'wide'}, about, e.id ? [' ', h('a', {class: 'mono', href: '#/message/' + e.id}, e.id)] : null), h('td', {class: 'wide small'}, more));
}

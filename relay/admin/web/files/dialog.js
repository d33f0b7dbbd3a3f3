// Questions before something is changed.
import {h, replace} from './dom.js';
import {act, post} from './api.js';
import {count, several} from './format.js';

let saying = 0;

// say shows a sentence for a while.
export function say(text, bad) {
  const e = document.getElementById('said');
  e.className = bad ? 'said bad' : 'said';
  e.textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => { e.textContent = ''; }, bad ? 12000 : 6000);
}

// ask shows a dialog and does what is wanted when it is confirmed. fields are more inputs;
// run is given what was typed and a function that shows progress. It gives what to say.
export function ask({title, text, fields = [], reason = true, confirm, danger, run}) {
  const opener = document.activeElement;
  const note = h('p', {class: 'small', role: 'status'});
  const inputs = [...fields];
  if (reason) inputs.push({name: 'reason', label: 'Reason, for the journal', required: true, placeholder: 'why'});
  const go = h('button', {class: 'main' + (danger ? ' danger' : ''), type: 'submit'}, confirm);
  const stop = new AbortController();
  const form = h('form', {method: 'dialog'},
    h('h2', {id: 'asking'}, title),
    text,
    inputs.map((f) => h('label', null, f.label, h('input', {name: f.name, type: f.type, min: f.min, max: f.max, required: f.required, placeholder: f.placeholder, autocomplete: 'off', maxlength: 500}))),
    note,
    h('div', {class: 'row'}, h('button', {type: 'button', class: 'cancel', onclick: () => dialog.close()}, 'Cancel'), go));
  const dialog = h('dialog', {'aria-labelledby': 'asking'}, form);
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    go.disabled = true;
    try {
      const values = Object.fromEntries(new FormData(form));
      say(await run(values, (t) => { note.textContent = t; }, stop.signal));
      dialog.close('done');
      dispatchEvent(new Event('changed'));
    } catch (err) {
      if (err.name === 'AbortError') return;
      note.textContent = err.message;
      note.className = 'notice bad';
      go.disabled = false;
    }
  });
  dialog.addEventListener('close', () => {
    stop.abort();
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  (form.querySelector('input') ?? go).focus();
  return {dialog, form, go};
}

const verbs = {
  hold: {title: 'Hold', did: 'held', what: 'They stay in the queue and are not tried until they are released.'},
  release: {title: 'Release', did: 'released', what: 'They are delivered again as their turn comes.'},
  retry: {title: 'Retry', did: 'to be tried now', what: 'They are tried now, whatever time they were put off to.'},
  delete: {title: 'Delete', did: 'deleted', what: 'They leave the queue for good. Nobody is told: neither senders nor recipients.', danger: true},
  bounce: {title: 'Bounce', did: 'bounced', what: 'They leave the queue for good, and their senders get a notice.', danger: true},
};

// askAction asks about an action on deliveries; what names them. They are counted first.
export async function askAction(action, select, all, what) {
  const v = verbs[action];
  const found = h('p', {class: 'found'}, 'Counting…');
  const fields = action === 'bounce' ? [{name: 'text', label: 'What senders are told', placeholder: 'optional'}] : [];
  const body = {action, select, all};
  const {form, go} = ask({
    title: `${v.title} ${what}?`, text: [found, h('p', {class: 'quiet'}, v.what)], fields, confirm: v.title, danger: v.danger,
    async run(values, progress, signal) {
      let last = {};
      for await (const p of act({...body, reason: values.reason, text: values.text}, signal)) {
        last = p;
        progress(`${count(p.changed)} done, ${count(p.seen)} looked at`);
      }
      const rest = [[last.unchanged, 'as they were'], [last.busy, 'being delivered'], [last.failed, 'failed']].filter(([n]) => n);
      return several(last.changed, 'delivery', 'deliveries') + ' ' + v.did + rest.map(([n, t]) => `, ${count(n)} ${t}`).join('');
    },
  });
  go.disabled = true;
  try {
    let last;
    for await (const p of act({...body, reason: 'count', dry_run: true})) last = p;
    replace(found, 'This means ', h('b', null, several(last.matched, 'delivery', 'deliveries')), '.');
    go.disabled = last.matched === 0;
    go.textContent = `${v.title} ${several(last.matched, 'delivery', 'deliveries')}`;
  } catch (e) {
    if (form.isConnected) replace(found, h('span', {class: 'notice bad'}, e.message));
  }
}


// askDestination asks about pausing, resuming or retrying a destination.
export function askDestination(action, name) {
  const texts = {
    pause: ['Pause', 'Nothing is delivered there until it is resumed. Mail is taken as before, and grows older.', 'is paused'],
    resume: ['Resume', 'What waits there is delivered again.', 'is resumed'],
    retry: ['Retry', 'The way there is tried at once, whatever closed it.', 'is being tried'],
  };
  const [title, what, did] = texts[action];
  ask({
    title: `${title} ${name}?`, text: h('p', {class: 'quiet'}, what), confirm: title,
    async run(values) {
      const r = await post(`/v1/destinations/${encodeURIComponent(name)}/${action}`, {reason: values.reason});
      return r.changed ? `${name} ${did}` : `${name}: nothing to change`;
    },
  });
}

// The configuration in force.
import {h, replace} from './dom.js';
import {get} from './api.js';

export function config({page, again, signal}) {
  const at = h('section', {class: 'panel'});
  replace(page, h('h1', null, 'Configuration'), h('p', {class: 'quiet'}, 'As it is in force, rules and routes included. Secrets are hidden.'), at);
  again(async () => {
    const {text} = await get('/v1/config', signal);
    replace(at, h('pre', {tabindex: 0, 'aria-label': 'Configuration'}, text.split('\n').map((line) => [paint(line), '\n'])));
  });
}

// paint gives the key of a line its colour.
function paint(line) {
  const m = /^(\s*(?:- )?)([a-z0-9_]+)(:.*)$/i.exec(line);
  return m ? [m[1], h('span', {class: 'key-name'}, m[2]), m[3]] : line;
}

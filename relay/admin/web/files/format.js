// How figures and times are shown.

export function count(n) { return new Intl.NumberFormat('en').format(n); }

// rate is a number per second, short.
export function rate(n) {
  if (n === 0) return '0';
  return n < 10 ? n.toFixed(1) : short(n);
}

// short is a number in four characters or so.
export function short(n) {
  for (const [unit, sign] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= unit) return (n / unit).toFixed(n < 10 * unit ? 1 : 0) + sign;
  }
  return n < 10 && n % 1 ? n.toFixed(1) : String(Math.round(n));
}

export function bytes(n) {
  for (const [unit, sign] of [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']]) {
    if (n >= unit) return (n / unit).toFixed(1) + ' ' + sign;
  }
  return n + ' B';
}

export function milliseconds(n) {
  if (n === 0) return '–';
  return n < 1000 ? (n < 10 ? n.toFixed(1) : Math.round(n)) + ' ms' : seconds(n / 1000);
}

// seconds is a span in one or two units.
export function seconds(s) {
  s = Math.max(0, s);
  if (s < 60) return (s < 10 && s % 1 ? s.toFixed(1) : Math.floor(s)) + ' s';
  const units = [['d', 86400], ['h', 3600], ['min', 60]];
  const i = units.findIndex(([, n]) => s >= n);
  const [sign, n] = units[i];
  const rest = i + 1 < units.length ? Math.floor((s % n) / units[i + 1][1]) : 0;
  return Math.floor(s / n) + ' ' + sign + (rest ? ' ' + rest + ' ' + units[i + 1][0] : '');
}

export function age(text) { return seconds((Date.now() - Date.parse(text)) / 1000); }

// until says when something is due.
export function until(text) {
  const s = (Date.parse(text) - Date.now()) / 1000;
  return s <= 0 ? 'now' : 'in ' + seconds(s);
}

export function clock(text) {
  const d = new Date(text);
  return d.toLocaleTimeString('en-GB', {hour12: false});
}

export function moment(text) {
  const d = new Date(text);
  return d.toLocaleDateString('en-CA') + ' ' + d.toLocaleTimeString('en-GB', {hour12: false});
}

export function sender(text) { return text === '' || text === '<>' ? '<> (a notice)' : text; }

export function several(n, one, many) { return count(n) + ' ' + (n === 1 ? one : many ?? one + 's'); }

// Everything that is asked of the API. Where a token is wanted it is asked for once and kept for the tab.

const KEPT = 'headend token';
const LIMIT_MS = 5000;
const byId = id => document.getElementById(id);

function headers(more = {}) {
  const token = sessionStorage.getItem(KEPT);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

// Drops the token; whether there was one.
function forget() {
  const was = sessionStorage.getItem(KEPT) !== null;
  sessionStorage.removeItem(KEPT);
  return was;
}

// The answer as JSON; null where this headend has no such thing or does not show it to us.
export async function ask(path) {
  const get = () => fetch(path, { headers: headers(), signal: AbortSignal.timeout(LIMIT_MS) });
  let answer = await get();
  // A token that is not or no longer good is worse than none: each use counts as a guess.
  if ([401, 403, 429].includes(answer.status) && forget()) answer = await get();
  if ([401, 403, 404].includes(answer.status)) return null;
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

// Orders something. Resolves to words: nothing, or why it was not done.
export async function order(path, body, method = 'POST') {
  const send = () => fetch(path, {
    method, headers: headers({ 'Content-Type': 'application/json' }), body: JSON.stringify(body), signal: AbortSignal.timeout(LIMIT_MS),
  });
  try {
    let answer = await send();
    if (answer.status === 401) forget();
    if (answer.status === 401 && await asked(await reason(answer))) answer = await send();
    return answer.ok ? '' : await reason(answer);
  } catch (cause) {
    return `headend does not answer (${cause.message})`;
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `HTTP ${answer.status}`;
  }
}

// Asks the person for a token; whether there is one now.
function asked(why) {
  const dialog = byId('asking');
  byId('asking-why').textContent = why;
  byId('token').value = '';
  dialog.showModal();
  return new Promise(resolve => {
    dialog.addEventListener('close', () => {
      const token = dialog.returnValue === 'token' && byId('token').value.trim();
      if (token) sessionStorage.setItem(KEPT, token);
      resolve(Boolean(token));
    }, { once: true });
  });
}

// Reads a stream of server-sent events until it ends. EventSource cannot send a token.
export async function follow(path, lastId, onEvent) {
  const answer = await fetch(path, { headers: headers(lastId ? { 'Last-Event-ID': lastId } : {}) });
  if (!answer.ok || !answer.body) return answer.status;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return answer.status;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) onEvent(parsed(block));
  }
}

// The fields of one event: id, event and data.
function parsed(block) {
  const fields = { data: '' };
  for (const line of block.split('\n')) {
    const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (name === 'data') fields.data += fields.data ? `\n${value}` : value;
    else if (name) fields[name] = value;
  }
  return fields;
}

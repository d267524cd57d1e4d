// The playground's own server. An error's message is the key of a text.

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("server_gone");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || "api_down");
  return body;
}

export function loadChoices() {
  return ask("/api/choices");
}

export function beginVisit(wish) {
  const headers = { "Content-Type": "application/json" };
  return ask("/api/visits", { method: "POST", headers, body: JSON.stringify(wish) });
}

// The learner's lessons that the API has records of, oldest first.
export async function loadHistory({ learner }) {
  return (await ask(`/api/history/${encodeURIComponent(learner)}`)).sessions;
}

export async function loadRecords({ learner, visit }) {
  const path = `/api/records/${encodeURIComponent(learner)}/${encodeURIComponent(visit)}`;
  return (await ask(path)).sessions;
}

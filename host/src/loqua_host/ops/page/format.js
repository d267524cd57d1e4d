// Numbers as people read them.

export const percent = (share) => `${Math.round(share * 100)} %`;

export const seconds = (value) =>
  value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;

export const span = (value) => {
  if (value < 90) return `${Math.max(0, Math.round(value))} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
};

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

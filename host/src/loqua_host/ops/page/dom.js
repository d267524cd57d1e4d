// Elements, and changing what is shown into what is to be shown.
// Whatever the host says becomes text or an attribute: no string is read as markup.

const SVG = "http://www.w3.org/2000/svg";

const build = (element, attributes, parts) => {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== "") element.setAttribute(name, value);
  element.append(...parts);
  return element;
};

export const make = (tag, attributes = {}, ...parts) =>
  build(document.createElement(tag), attributes, parts);
export const draw = (tag, attributes = {}, ...parts) =>
  build(document.createElementNS(SVG, tag), attributes, parts);

export const fill = (id, ...parts) => {
  const shown = document.getElementById(id);
  const next = shown.cloneNode(false);
  next.append(...parts);
  patch(shown, next);
};

// Focus, selection and scrolling stay where they are, because elements that remain are kept.
const patch = (shown, next) => {
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== next.data) shown.data = next.data;
    return;
  }
  for (const { name } of [...shown.attributes])
    if (!next.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  patchChildren(shown, next);
};

const key = (node) => node.dataset?.key;
const fits = (shown, next) =>
  shown !== null && shown.nodeName === next.nodeName && key(shown) === key(next);

const patchChildren = (shown, next) => {
  const coming = new Set([...next.children].map(key).filter(Boolean));
  let place = shown.firstChild;
  for (const child of [...next.childNodes]) {
    while (place && key(place) && !coming.has(key(place))) place = remove(place);
    if (!fits(place, child)) {
      shown.insertBefore(known(shown, child) ?? child, place);
      continue;
    }
    patch(place, child);
    place = place.nextSibling;
  }
  while (place) place = remove(place);
};

const known = (shown, child) => {
  const found = key(child) && [...shown.children].find((one) => fits(one, child));
  if (found) patch(found, child);
  return found || null;
};

const remove = (node) => {
  const after = node.nextSibling;
  node.remove();
  return after;
};

// Elements, and what is said to screen readers.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

export function announce(text) {
  const announcer = document.getElementById("announcer");
  announcer.append(element("p", {}, text));
  while (announcer.childElementCount > 20) announcer.firstElementChild.remove();
}

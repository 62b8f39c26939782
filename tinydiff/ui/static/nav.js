// The tabs of the page: one stop of the keyboard with arrows inside, an address each (#steps), and
// the browser's back and forward.

import {make} from "./dom.js";

const place = () => location.hash.slice(1).split("=")[0];

// element holds the list; props.tabs are [name, title] pairs. open(name) shows a tab.
export class Nav {
  constructor(element, props, open) {
    Object.assign(this, {tabs: props.tabs, open});
    this.list = element.querySelector("[role=tablist]");
    this.list.replaceChildren(...this.tabs.map(([name, title]) => {
      const says = {type: "button", role: "tab", "data-tab": name, id: `nav-${name}`};
      return make("button", "", title, says);
    }));
    this.list.addEventListener("click", ({target}) => {
      if (target.dataset.tab) this.go(target.dataset.tab);
    });
    this.list.addEventListener("keydown", (event) => this.pressed(event));
    addEventListener("popstate", () => this.show(place()));
    addEventListener("hashchange", () => this.show(place()));
    this.show(place());
  }

  known(name) {
    return this.tabs.some(([one]) => one === name) ? name : this.tabs[0][0];
  }

  // by hand: the address tells
  go(name) {
    if (name === this.at) return;
    const first = name === this.tabs[0][0], {pathname, search} = location;
    history.pushState(history.state, "", first ? pathname + search : `#${name}`);
    this.show(name);
  }

  show(name) {
    if (name && !this.tabs.some(([one]) => one === name)) return;  // a place within a tab
    const found = this.known(name);
    for (const tab of this.list.children) {
      const on = tab.dataset.tab === found;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    }
    if (found === (this.at ?? this.tabs[0][0])) {
      this.at = found;
      return;
    }
    this.at = found;
    this.open(found);
  }

  pressed(event) {
    const items = [...this.list.children], at = items.indexOf(document.activeElement);
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1}[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const item = items.at(to % items.length);
    item.focus();
    this.go(item.dataset.tab);
  }
}

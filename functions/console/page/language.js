/** The reader's language. Another one is its file of words and a line in `LANGUAGES`; the first is for who reads none. */

import de from "./words.de.js";
import en from "./words.en.js";

const LANGUAGES = { en, de };
const readers = globalThis.navigator?.languages ?? [];
const spoken = (tag) => tag.toLowerCase().split("-")[0];
const asked = new URLSearchParams(globalThis.location?.search).get("lang");

let language = [asked, ...readers.map(spoken)].find((code) => code in LANGUAGES) ?? Object.keys(LANGUAGES)[0];

/** Every language that the page speaks, as code and name. */
export const languages = () => Object.entries(LANGUAGES).map(([code, words]) => [code, words.language]);
export const current = () => language;
export const speak = (code) => { language = code; };

/** What dates and numbers are written by: the reader's own country where its language is spoken. */
export const locale = () => readers.find((tag) => spoken(tag) === language) ?? (readers.length || asked ? language : undefined);

/** `make` of a format, made again for another language. @template T @param {(locale: string|undefined) => T} make @returns {() => T} */
export function localised(make) {
  let [of, made] = [null, null];
  return () => {
    if (of !== language) [of, made] = [language, make(locale())];
    return made;
  };
}

const plural = localised((of) => new Intl.PluralRules(of));
const number = localised((of) => new Intl.NumberFormat(of, { maximumFractionDigits: 0 }));

/**
 * The words of a key. Those of a count are an object by plural category, chosen by `n`; a number is written as the reader does.
 * @param {string} key
 * @param {Record<string, string|number>} [values] by the name that stands in braces
 */
export function say(key, values = {}) {
  const words = LANGUAGES[language][key];
  const text = typeof words === "string" ? words : words[plural().select(values.n)];
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number().format(values[name]) : values[name]));
}

/** Fill what stands in the page itself: `data-say` is the key of a text, `data-say-title` and the like of an attribute. */
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const name of ["aria-label", "placeholder", "title"]) {
    for (const element of document.querySelectorAll(`[data-say-${name}]`)) {
      element.setAttribute(name, say(element.getAttribute(`data-say-${name}`)));
    }
  }
}

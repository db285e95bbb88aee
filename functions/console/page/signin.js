/** The sign-in dialog and that of the authenticator app; what lies behind them stays as it was. */

import { SignInError } from "./auth.js";
import { byId, make } from "./dom.js";
import { say } from "./language.js";

/** What the dialog shows at each step: the part of the form, its required fields, the keys of its words. */
const FIRST = { part: "credentials", fields: ["username", "password"], title: "sign.in", go: "sign.in" };
const CODE = { part: "code-part", fields: ["code"], go: "sign.in" };
const STEPS = {
  NEW_PASSWORD_REQUIRED: {
    part: "renewal", fields: ["new-password", "repeated"], title: "sign.new", go: "sign.new.go",
    why: "sign.new.why",
  },
  SOFTWARE_TOKEN_MFA: { ...CODE, title: "sign.code", why: "sign.code.why" },
  MFA_SETUP: { ...CODE, title: "app.add", why: "app.duty" },
};

/**
 * Ask until somebody is signed in.
 * @param {import("./auth.js").Session} session
 * @param {string} why shown above the fields
 * @returns {Promise<string>} the username
 */
export function askToSignIn(session, why) {
  const dialog = byId("sign-in");
  let challenge = null;
  byId("sign-in-wrong").textContent = "";
  show(FIRST, why);
  let done = false;
  dialog.onclose = () => { if (!done) dialog.showModal(); };
  if (!dialog.open) dialog.showModal();
  byId(byId("username").value ? "password" : "username").focus();

  return new Promise((resolve) => {
    byId("sign-in-form").onsubmit = async (event) => {
      event.preventDefault();
      await attempt(byId("sign-in-go"), byId("sign-in-wrong"), next, (error) => {
        if (challenge && error.kind === "NotAuthorizedException") {
          challenge = null;
          show(FIRST, why);
          return say("sign.late");
        }
        return error.message;
      });
      if (!done) return;
      dialog.close();
      resolve(byId("username").value.trim());
    };
  });

  async function next() {
    challenge = challenge
      ? await session.answer(challenge, challenge.name === "NEW_PASSWORD_REQUIRED" ? newPassword() : digits("code"))
      : await session.signIn(byId("username").value.trim(), byId("password").value);
    done = !challenge;
    for (const id of ["new-password", "repeated", "code", ...(done ? ["password"] : [])]) byId(id).value = "";
    if (!challenge) return;
    byId("secret").replaceChildren(...(challenge.secret ? secret(challenge.secret, challenge.username) : []));
    show(STEPS[challenge.name]);
    byId(STEPS[challenge.name].fields[0]).focus();
  }
}

/** Show a secret for an authenticator app to whoever is signed in, and enrol the app with a code of it. */
export async function offerAuthenticator(session, username) {
  const dialog = byId("authenticator");
  const [go, wrong] = [byId("authenticator-go"), byId("authenticator-wrong")];
  byId("authenticator-code").value = "";
  byId("authenticator-secret").replaceChildren();
  byId("authenticator-close").onclick = () => dialog.close();
  byId("authenticator-form").hidden = false;
  byId("authenticator-why").textContent = say("app.why");
  byId("authenticator-form").onsubmit = async (event) => {
    event.preventDefault();
    await attempt(go, wrong, async () => {
      await session.enrol(digits("authenticator-code"));
      byId("authenticator-form").hidden = true;
      byId("authenticator-why").textContent = say("app.done");
      byId("authenticator-close").focus();
    });
  };
  dialog.showModal();
  await attempt(go, wrong, async () => {
    byId("authenticator-secret").replaceChildren(...secret(await session.secret(), username));
    byId("authenticator-code").focus();
  });
}

/** Run `action`; `words` makes of what the user pool refused the sentence that is shown. */
async function attempt(go, wrong, action, words = (error) => error.message) {
  go.disabled = true;
  wrong.textContent = "";
  try {
    await action();
  } catch (error) {
    if (!(error instanceof SignInError)) throw error;
    wrong.textContent = words(error);
  } finally {
    go.disabled = false;
  }
}

function show({ part, fields, title, go, why }, reason = say(why)) {
  for (const one of [FIRST, ...Object.values(STEPS)]) {
    byId(one.part).hidden = one.part !== part;
    for (const id of one.fields) byId(id).required = fields.includes(id);
  }
  byId("sign-in-title").textContent = say(title);
  byId("sign-in-go").textContent = say(go);
  byId("sign-in-why").textContent = reason;
}

/** The secret as a link for an app on this device, and as text to type into another. */
function secret(code, username) {
  const query = new URLSearchParams({ secret: code, issuer: "Trefoil" });
  const address = `otpauth://totp/${encodeURIComponent(`Trefoil:${username}`)}?${query}`;
  return [
    make("p", {}, say("app.key"), " ", make("a", { href: address }, say("app.open"))),
    make("p", {}, make("code", {}, code.replaceAll(/(.{4})(?=.)/g, "$1 "))),
  ];
}

const digits = (id) => byId(id).value.replaceAll(/\D/g, "");

function newPassword() {
  const [first, second] = [byId("new-password").value, byId("repeated").value];
  if (first !== second) throw new SignInError("mismatch", say("sign.differ"));
  return first;
}

/** The sign-in dialog; what lies behind it stays as it was. */

import { SignInError } from "./auth.js";
import { byId } from "./dom.js";

/**
 * Ask until somebody is signed in.
 * @param {import("./auth.js").Session} session
 * @param {string} why shown above the fields
 * @returns {Promise<string>} the username
 */
export function askToSignIn(session, why) {
  const dialog = byId("sign-in");
  let challenge = null;
  byId("sign-in-why").textContent = why;
  byId("sign-in-wrong").textContent = "";
  renewal(false);
  let done = false;
  dialog.onclose = () => { if (!done) dialog.showModal(); };
  if (!dialog.open) dialog.showModal();
  byId(byId("username").value ? "password" : "username").focus();

  return new Promise((resolve) => {
    byId("sign-in-form").onsubmit = async (event) => {
      event.preventDefault();
      await attempt(async () => {
        const first = challenge === null;
        challenge = first
          ? await session.signIn(byId("username").value.trim(), byId("password").value)
          : await session.setPassword(challenge, newPassword());
        if (challenge) {
          renewal(true);
          return;
        }
        for (const id of ["password", "new-password", "repeated"]) byId(id).value = "";
        done = true;
        dialog.close();
        resolve(byId("username").value.trim());
      });
    };
  });

  async function attempt(action) {
    const [go, wrong] = [byId("sign-in-go"), byId("sign-in-wrong")];
    go.disabled = true;
    wrong.textContent = "";
    try {
      await action();
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      wrong.textContent = error.message;
      if (challenge && error.kind === "NotAuthorizedException") {
        wrong.textContent = "That took too long. Sign in once more.";
        challenge = null;
        renewal(false);
      }
    } finally {
      go.disabled = false;
    }
  }
}

function newPassword() {
  const [first, second] = [byId("new-password").value, byId("repeated").value];
  if (first !== second) throw new SignInError("mismatch", "The two new passwords differ.");
  return first;
}

/** Show the fields of a forced first change instead of the credentials. */
function renewal(on) {
  byId("credentials").hidden = on;
  byId("renewal").hidden = !on;
  for (const id of ["username", "password"]) byId(id).required = !on;
  for (const id of ["new-password", "repeated"]) byId(id).required = on;
  byId("sign-in-title").textContent = on ? "Choose a new password" : "Sign in";
  byId("sign-in-go").textContent = on ? "Save and sign in" : "Sign in";
  if (on) {
    byId("sign-in-why").textContent = "This is your first time here. The password you were given works only once.";
    byId("new-password").focus();
  }
}

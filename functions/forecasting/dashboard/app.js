/** Start: read the configuration, sign in, show what the URL asks for. */

import { Api } from "./api.js";
import { Session } from "./auth.js";
import { byId } from "./dom.js";
import { Page } from "./page.js";
import { askToSignIn } from "./signin.js";

async function start() {
  const response = await fetch("/static/config.json");
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  const expired = "Your session has ended. Sign in again to go on; nothing you entered is lost.";
  const session = new Session(await response.json(), () => signIn(session, expired));
  await signIn(session, "With the account that your administrator gave you.");
  document.body.classList.add("in");
  byId("sign-out").onclick = async () => {
    byId("main").hidden = true;
    await session.signOut();
    location.replace(location.pathname);
  };
  byId("main").hidden = false;
  new Page(new Api(session)).start();
}

async function signIn(session, why) {
  byId("user").textContent = await askToSignIn(session, why);
  byId("who").hidden = false;
}

start().catch((error) => {
  byId("main").hidden = false;
  byId("controls").hidden = true;
  byId("problem").hidden = false;
  byId("problem").textContent = "The page could not start. Check the connection and load it again.";
  throw error;
});

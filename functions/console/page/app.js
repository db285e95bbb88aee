/** Start: read the configuration, sign in, show what the URL asks for. */

import { Api, configuration } from "./api.js";
import { Session } from "./auth.js";
import { byId } from "./dom.js";
import { translate } from "./language.js";
import { Shell } from "./shell.js";
import { askToSignIn, offerAuthenticator } from "./signin.js";

async function start() {
  translate();
  const config = await configuration();
  byId("starting").hidden = true;
  const expired = "Your session has ended. Sign in again to go on; nothing you entered is lost.";
  const session = new Session(config, () => signIn(session, expired));
  await signIn(session, "With the account that your administrator gave you.");
  document.body.classList.add("in");
  byId("sign-out").onclick = async () => {
    byId("main").hidden = true;
    await session.signOut();
    location.replace(location.pathname + location.search);
  };
  byId("authenticator-add").onclick = () => {
    byId("account").hidePopover();
    offerAuthenticator(session, byId("user").textContent);
  };
  byId("main").hidden = false;
  new Shell(new Api(session)).show();
}

async function signIn(session, why) {
  byId("user").textContent = await askToSignIn(session, why);
  byId("user").hidden = false;
}

start().catch((error) => {
  byId("starting").hidden = true;
  byId("main").hidden = false;
  byId("problem").hidden = false;
  byId("problem").textContent = "The page could not start. Check the connection and load it again.";
  throw error;
});

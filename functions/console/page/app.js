/** Start: read the configuration, sign in, show what the URL asks for. */

import { Api, configuration } from "./api.js";
import { Session } from "./auth.js";
import { byId } from "./dom.js";
import { say, translate } from "./language.js";
import { Shell } from "./shell.js";
import { askToSignIn, offerAuthenticator } from "./signin.js";

async function start() {
  translate();
  const config = await configuration();
  byId("starting").hidden = true;
  const session = new Session(config, () => signIn(session, say("sign.expired")));
  await signIn(session, say("sign.account"));
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
  byId("problem").textContent = say("start.failed");
  throw error;
});

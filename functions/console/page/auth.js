/** The user pool's own API, called from the page. Tokens live in this object and nowhere else. */

import { say } from "./language.js";

/** What the user pool said; `kind` is its name for the error, `offline` when it could not be reached. */
export class SignInError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/** The key of what is said of an error. */
const SAID = {
  NotAuthorizedException: "sign.wrong",
  UserNotFoundException: "sign.wrong",
  UserNotConfirmedException: "sign.unconfirmed",
  PasswordResetRequiredException: "sign.reset",
  CodeMismatchException: "sign.code.wrong",
  EnableSoftwareTokenMFAException: "sign.code.wrong",
  ExpiredCodeException: "sign.code.wrong",
  TooManyRequestsException: "sign.many",
  LimitExceededException: "sign.many",
};
const EARLY = 60_000;
/** Challenges that the page can answer, and what the answer is called. */
const ANSWERS = {
  NEW_PASSWORD_REQUIRED: "NEW_PASSWORD",
  SOFTWARE_TOKEN_MFA: "SOFTWARE_TOKEN_MFA_CODE",
  MFA_SETUP: null, // enrolled before it is answered, by a call of its own
};

/**
 * @typedef {{name: string, session: string, username: string, secret: string}} Challenge `secret` is for the
 *   authenticator app of a user who must enrol one, else empty
 */

export class Session {
  #config;
  #ask;
  #access = "";
  #refresh = "";
  #until = 0;
  #renewing = null;

  /**
   * @param {{endpoint: string, user_pool_client: string}} config
   * @param {() => Promise<void>} ask lets the user sign in again; resolves when that is done
   */
  constructor(config, ask) {
    this.#config = config;
    this.#ask = ask;
  }

  /** Resolves to null when signed in, to a challenge when more is asked for. Throws SignInError. @returns {Promise<Challenge|null>} */
  async signIn(username, password) {
    const answer = await this.#call("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      ClientId: this.#config.user_pool_client,
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    return this.#take(answer, username);
  }

  /** Answers a challenge with a new password or the app's code; resolves as `signIn` does. @param {Challenge} challenge */
  async answer({ name, session, username }, value) {
    const enrolled = ANSWERS[name] ? null : await this.#call("VerifySoftwareToken", { Session: session, UserCode: value });
    const answer = await this.#call("RespondToAuthChallenge", {
      ChallengeName: name,
      ClientId: this.#config.user_pool_client,
      Session: enrolled ? enrolled.Session : session,
      ChallengeResponses: { USERNAME: username, ...(enrolled ? {} : { [ANSWERS[name]]: value }) },
    });
    return this.#take(answer, username);
  }

  /** A secret for the authenticator app of whoever is signed in. */
  async secret() {
    return (await this.#call("AssociateSoftwareToken", { AccessToken: await this.token() })).SecretCode;
  }

  /** From now on signing in asks for a code of the app that has the secret, as `code` proves. */
  async enrol(code) {
    const AccessToken = await this.token();
    await this.#call("VerifySoftwareToken", { AccessToken, UserCode: code });
    await this.#call("SetUserMFAPreference", { AccessToken, SoftwareTokenMfaSettings: { Enabled: true, PreferredMfa: true } });
  }

  /** An access token that is good for a while; refreshed, or asked for, when the one at hand is not. */
  async token() {
    if (Date.now() < this.#until) return this.#access;
    this.#renewing ??= this.#renew().finally(() => { this.#renewing = null; });
    await this.#renewing;
    return this.#access;
  }

  /** Forget an access token that was refused; the next call gets another. */
  refused(token) {
    if (token === this.#access) this.#until = 0;
  }

  /** Forget everything, and have the user pool forget the refresh token. */
  async signOut() {
    const token = this.#refresh;
    this.#access = this.#refresh = "";
    this.#until = 0;
    if (!token) return;
    const revoked = this.#call("RevokeToken", { Token: token, ClientId: this.#config.user_pool_client });
    await revoked.catch((error) => { if (!(error instanceof SignInError)) throw error; });
  }

  async #renew() {
    if (this.#refresh) {
      try {
        const answer = await this.#call("InitiateAuth", {
          AuthFlow: "REFRESH_TOKEN_AUTH",
          ClientId: this.#config.user_pool_client,
          AuthParameters: { REFRESH_TOKEN: this.#refresh },
        });
        await this.#take(answer, "");
        return;
      } catch (error) {
        if (!(error instanceof SignInError) || error.kind === "offline") throw error;
        this.#refresh = "";
      }
    }
    await this.#ask();
  }

  async #take(answer, username) {
    const result = answer.AuthenticationResult;
    if (result) {
      this.#access = result.AccessToken;
      this.#refresh = result.RefreshToken ?? this.#refresh;
      const lifetime = result.ExpiresIn * 1000;
      this.#until = Date.now() + Math.max(lifetime - EARLY, lifetime / 2);
      return null;
    }
    const name = answer.ChallengeName;
    if (!(name in ANSWERS)) throw new SignInError(name, say("sign.challenge", { name }));
    if (name !== "MFA_SETUP") return { name, session: answer.Session, username, secret: "" };
    const { Session: session, SecretCode: secret } = await this.#call("AssociateSoftwareToken", { Session: answer.Session });
    return { name, session, username, secret };
  }

  async #call(action, body) {
    let response;
    try {
      response = await fetch(`${this.#config.endpoint.replace(/\/$/, "")}/`, {
        method: "POST",
        headers: {
          "Content-Type": "application/x-amz-json-1.1",
          "X-Amz-Target": `AWSCognitoIdentityProviderService.${action}`,
        },
        body: JSON.stringify(body),
      });
    } catch {
      throw new SignInError("offline", say("sign.offline"));
    }
    const text = await response.text();
    const document = text ? JSON.parse(text) : {};
    if (response.ok) return document;
    const kind = String(document.__type ?? "").split("#").pop();
    throw new SignInError(kind, SAID[kind] ? say(SAID[kind]) : document.message ?? say("sign.refused"));
  }
}

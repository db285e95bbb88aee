/** The user pool's own API, called from the page. Tokens live in this object and nowhere else. */

/** What the user pool said; `kind` is its name for the error, `offline` when it could not be reached. */
export class SignInError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const SAID = {
  NotAuthorizedException: "The username or the password is wrong.",
  UserNotFoundException: "The username or the password is wrong.",
  UserNotConfirmedException: "This account has not been confirmed yet.",
  PasswordResetRequiredException: "The password of this account must be reset; ask your administrator.",
  TooManyRequestsException: "Too many attempts. Wait a minute and try again.",
  LimitExceededException: "Too many attempts. Wait a minute and try again.",
};
const EARLY = 60_000;

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

  /** Resolves to null when signed in, to a challenge when a new password is due. Throws SignInError. */
  async signIn(username, password) {
    const answer = await this.#call("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      ClientId: this.#config.user_pool_client,
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    return this.#take(answer, username);
  }

  /** Answers the challenge of `signIn`. */
  async setPassword(challenge, password) {
    const answer = await this.#call("RespondToAuthChallenge", {
      ChallengeName: "NEW_PASSWORD_REQUIRED",
      ClientId: this.#config.user_pool_client,
      Session: challenge.session,
      ChallengeResponses: { USERNAME: challenge.username, NEW_PASSWORD: password },
    });
    return this.#take(answer, challenge.username);
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
        this.#take(answer, "");
        return;
      } catch (error) {
        if (!(error instanceof SignInError) || error.kind === "offline") throw error;
        this.#refresh = "";
      }
    }
    await this.#ask();
  }

  #take(answer, username) {
    const result = answer.AuthenticationResult;
    if (result) {
      this.#access = result.AccessToken;
      this.#refresh = result.RefreshToken ?? this.#refresh;
      const lifetime = result.ExpiresIn * 1000;
      this.#until = Date.now() + Math.max(lifetime - EARLY, lifetime / 2);
      return null;
    }
    if (answer.ChallengeName === "NEW_PASSWORD_REQUIRED") return { session: answer.Session, username };
    throw new SignInError(answer.ChallengeName, `This account asks for ${answer.ChallengeName}, which this page cannot do.`);
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
      throw new SignInError("offline", "The sign-in service cannot be reached. Check the connection and try again.");
    }
    const text = await response.text();
    const document = text ? JSON.parse(text) : {};
    if (response.ok) return document;
    const kind = String(document.__type ?? "").split("#").pop();
    throw new SignInError(kind, SAID[kind] ?? document.message ?? "The sign-in service refused.");
  }
}

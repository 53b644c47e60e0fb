// Every page works without this, but for passkeys. It moves the focus to a problem, shows a password on request, says what
// others know of a new one, copies a command, asks for a passkey and holds back a second send.

for (const button of document.querySelectorAll(".reveal")) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  const show = (on) => {
    input.type = on ? "text" : "password";
    button.setAttribute("aria-pressed", String(on));
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // A password field must be one when it is sent, or the browser remembers it as plain text.
  input.form.addEventListener("submit", () => show(false));
}

// A new password is measured while it is typed. Once nothing was typed for a moment the server is asked which stolen ones
// have a hash that begins with the same 20 bits: it learns no more, and many have those.
for (const meter of document.querySelectorAll(".meter")) {
  const [input, words] = meter.closest(".field").querySelectorAll("input, [role=status]");
  const stolen = async (password) => {
    const sum = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(password));
    const hash = Array.from(new Uint8Array(sum), (b) => b.toString(16).padStart(2, "0")).join("");
    const body = new URLSearchParams({ form_token: input.form.elements.form_token.value, prefix: hash.slice(0, 5) });
    const response = await fetch(meter.dataset.action, { method: "POST", body });
    return response.ok ? (await response.json()).some((one) => hash.startsWith(one)) : undefined; // nobody looked: too many asked
  };
  let pause;
  meter.hidden = false;
  input.addEventListener("input", () => {
    const { value } = input;
    clearTimeout(pause);
    meter.value = [...value].length;
    delete meter.dataset.stolen;
    words.textContent = "";
    if (meter.value < meter.max) return;
    pause = setTimeout(async () => {
      let known = await stolen(value);
      if (known === false && value !== value.toLowerCase()) known = await stolen(value.toLowerCase());
      if (value !== input.value || known === undefined) return;
      if (known) meter.dataset.stolen = "";
      words.textContent = words.dataset[known ? "stolen" : "good"];
    }, 400);
  });
}

for (const button of document.querySelectorAll(".copy")) {
  button.hidden = !navigator.clipboard; // not on plain http elsewhere
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.getAttribute("aria-describedby")).textContent);
    button.firstElementChild.textContent = button.dataset.done;
  });
}

// A passkey is asked for by the form that wants it: the form is sent once it has the answer.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const parse = (creates, options) => {
  const own = creates ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
  if (PublicKeyCredential[own]) return PublicKeyCredential[own](options);
  const ids = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  const { challenge, user, allowCredentials, excludeCredentials } = options;
  return {
    ...options,
    challenge: bytes(challenge),
    user: user && { ...user, id: bytes(user.id) },
    allowCredentials: ids(allowCredentials),
    excludeCredentials: ids(excludeCredentials),
  };
};
const plain = (credential) => {
  if (credential.toJSON) return credential.toJSON();
  const { id, type, response } = credential;
  const out = { clientDataJSON: text(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) out[name] = text(response[name]);
  }
  if (response.getTransports) out.transports = response.getTransports();
  return { id, rawId: id, type, response: out, clientExtensionResults: credential.getClientExtensionResults() };
};
if (window.PublicKeyCredential) {
  const able = document.querySelector("[name=passkeys]"); // the server may offer one
  if (able) PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable?.().then((can) => (able.value = can ? "1" : ""));
  for (const form of document.querySelectorAll("[data-passkey]")) {
    const creates = "creates" in form.dataset;
    const stopped = form.querySelector("[role=status]");
    const again = stopped.textContent;
    let waiting;
    const ask = async (mediation) => {
      waiting?.abort();
      const { signal } = (waiting = new AbortController());
      const publicKey = parse(creates, JSON.parse(form.dataset.passkey));
      try {
        const made = await navigator.credentials[creates ? "create" : "get"]({ publicKey, mediation, signal });
        form.elements.passkey.value = JSON.stringify(plain(made));
        form.requestSubmit();
      } catch (error) {
        // It has one already (WebAuthn Level 3 section 5.1.3).
        stopped.textContent = (error.name === "InvalidStateError" && stopped.dataset.has) || again;
        stopped.hidden = signal.aborted || mediation === "conditional";
      }
    };
    form.hidden = false;
    for (const without of document.querySelectorAll("[data-without]")) without.hidden = true;
    form.addEventListener("submit", (event) => {
      if (form.elements.passkey.value) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      stopped.hidden = true;
      ask();
    });
    if ("autofill" in form.dataset) PublicKeyCredential.isConditionalMediationAvailable?.().then((can) => can && ask("conditional"));
  }
}

const release = () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    if (form.elements.passkey) form.elements.passkey.value = "";
  }
};
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if ("sent" in form.dataset) return event.preventDefault();
    form.dataset.sent = "";
    setTimeout(release, 8000); // the answer never came
  });
}
addEventListener("pageshow", () => {
  release(); // back from the next page
  document.getElementById("problem")?.focus();
});

// Every page works without this. It moves the focus to a problem, shows a password on request, copies a command and holds
// back a second send.

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

for (const button of document.querySelectorAll(".copy")) {
  button.hidden = !navigator.clipboard; // not on plain http elsewhere
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.getAttribute("aria-describedby")).textContent);
    button.firstElementChild.textContent = button.dataset.done;
  });
}

const release = () => {
  for (const form of document.forms) delete form.dataset.sent;
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

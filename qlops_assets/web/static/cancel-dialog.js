// The question before something that runs is stopped, and the request itself.

const dialog = document.getElementById("cancel-dialog");
const problem = dialog.querySelector("[role=alert]");

// address: where the request goes; body(button): what it says beside the reason; after(): whatever
// the answer was.
export function askBeforeCancel({ address, body = () => ({}), after }) {
  let about = {};

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-cancel]");
    if (!button) return;
    problem.textContent = "";
    about = body(button);
    dialog.showModal();
  });

  dialog.querySelector("form").addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "cancel") return; // it goes on
    event.preventDefault();
    event.submitter.disabled = true;
    try {
      const response = await fetch(address, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...about, why: dialog.querySelector("input").value }),
      });
      if (response.ok) dialog.close();
      else problem.textContent = (await response.json()).error;
    } catch {
      problem.textContent = "The console does not answer; try again.";
    } finally {
      event.submitter.disabled = false;
      after();
    }
  });
}

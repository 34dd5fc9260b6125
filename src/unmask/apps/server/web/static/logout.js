// The button in the frame that ends a session.
import { ask, trouble } from "./net.js";

document.getElementById("logout").addEventListener("click", async () => {
  try {
    await ask("/logout", { method: "POST" });
    location.assign("/login");
  } catch (error) {
    trouble(error.message);
  }
});

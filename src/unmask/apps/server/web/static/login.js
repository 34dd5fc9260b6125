// The Login page: a token becomes a session.
import { post, trouble } from "./net.js";
import { data, say } from "./words.js";

const token = document.getElementById("token");

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/login", { token: token.value.trim() });
    location.replace(data.next);
  } catch (error) {
    trouble(say("wrong", { detail: error.body?.detail ?? error.message }));
    token.select();
  }
});

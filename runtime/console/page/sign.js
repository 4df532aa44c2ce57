// Signs an approval in the browser, with a key that the person chooses: Ed25519 of WebCrypto. The key is not kept and not sent.
"use strict";

// quoted renders a text as it is signed. Texts of printable ASCII have one such form; others are left to the command.
function quoted(text) {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new Error("please use letters of ASCII only here, or the command for other ones");
  return '"' + text.replace(/[\\"]/g, "\\$&") + '"\n';
}

// message is what is signed: see the statements of runtime/attest.
function message(s) {
  const first = ["approval", s.plan, s.by, s.time, s.key].map(quoted).join("");
  if (s.reason === "") return "smpcc statement 1\n" + first;
  return "smpcc statement 2\n" + first + ["", s.reason, "", ""].map(quoted).join("") + "0\n";
}

function base64(bytes) {
  return btoa(Array.from(new Uint8Array(bytes), (b) => String.fromCharCode(b)).join(""));
}

// keyOf reads a private key, PKCS #8 in PEM.
async function keyOf(pem) {
  const body = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+\/=\s]+)-----END PRIVATE KEY-----/.exec(pem);
  if (!body) throw new Error("the file holds no private key; smpcc keys sign makes one");
  const der = Uint8Array.from(atob(body[1].replace(/\s/g, "")), (c) => c.charCodeAt(0));
  const key = await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, true, ["sign"]).catch(() => {
    throw new Error("the file holds no Ed25519 key; smpcc keys sign makes one");
  });
  const jwk = await crypto.subtle.exportKey("jwk", key);
  const pub = jwk.x.replace(/-/g, "+").replace(/_/g, "/");
  return { key, text: "ed25519:" + pub + "=".repeat((4 - (pub.length % 4)) % 4) };
}

// approval returns a signed approval of a plan.
async function approval(pem, plan, by, reason) {
  const { key, text } = await keyOf(pem);
  const s = { purpose: "approval", plan, by, time: new Date().toISOString().replace(/\.\d+Z$/, "Z"), key: text, reason };
  s.signature = base64(await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(message(s))));
  if (reason === "") delete s.reason;
  return s;
}

(function () {
  const box = document.getElementById("sign");
  if (!box || !globalThis.crypto || !crypto.subtle) return;
  box.hidden = false;
  const form = box.querySelector("form"), button = document.getElementById("approve"), told = document.getElementById("told");
  button.addEventListener("click", async () => {
    button.disabled = true;
    told.textContent = "";
    try {
      const file = document.getElementById("key").files[0];
      if (!file) throw new Error("choose the file of your key first");
      if (file.size > 65536) throw new Error("the file is no key");
      const s = await approval(await file.text(), form.dataset.plan, document.getElementById("by").value.trim(), document.getElementById("why").value.trim());
      document.getElementById("key").value = "";
      form.elements.statement.value = JSON.stringify(s);
      form.submit();
    } catch (e) {
      told.textContent = e.message;
      button.disabled = false;
    }
  });
})();

// Before anything is drawn, so that a dark page never flashes white.
try {
  const theme = localStorage.getItem("dawsos.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme holds.
}

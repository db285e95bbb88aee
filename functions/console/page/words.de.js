/** The words of the page in German. */

export default {
  language: "Deutsch",

  again: "Noch einmal versuchen",
  fault: "In dieser Seite ist etwas schiefgegangen. Laden Sie sie neu.",
  loading: "Wird geladen",
  "loading.long": "Es dauert: Der Dienst antwortet langsam.",
  title: "Trefoil: {room}",

  "room.forecasts": "Prognosen",
  "shell.language": "Sprache",
  "shell.rooms": "Bereiche",
  "shell.skip": "Zum Inhalt springen",
};

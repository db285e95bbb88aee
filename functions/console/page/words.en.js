/** The words of the page in English. What stands in braces is filled in; a count has a text for each plural category. */

export default {
  language: "English",

  again: "Try again",
  fault: "Something went wrong in this page. Load it again.",
  loading: "Loading",
  "loading.long": "Still working: the service is slow to answer.",
  title: "Trefoil: {room}",

  "room.forecasts": "Forecasts",
  "shell.language": "Language",
  "shell.rooms": "Rooms",
  "shell.skip": "Skip to the content",
};

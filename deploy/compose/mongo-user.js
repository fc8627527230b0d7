// Runs once, on a new database: the user of the gateways, with the role of
// docs/ops/permissions.md.
db.getSiblingDB("novel").createUser({
  user: "realtime",
  pwd: require("fs").readFileSync("/run/secrets/mongo-realtime", "utf8").trim(),
  roles: [{ role: "readWrite", db: "novel" }],
});

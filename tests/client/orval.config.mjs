export default {
  clinic: {
    input: "openapi.json",
    output: { target: "orval/client.ts", schemas: "orval/model", client: "fetch" },
  },
};

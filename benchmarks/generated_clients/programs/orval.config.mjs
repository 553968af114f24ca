const output = { target: "client.ts", client: "fetch", baseUrl: process.env.CLIENT_URL };
export default { whisker: { input: "client.json", output } };

// Where ratios pull: the darker a token, the likelier the text would be with another one there.

import {fifth, share} from "../wire.js";

export const ratios = {
  shade: {
    name: "pull",
    title: "The darker, the likelier the text would be with another token there, by the "
      + "network's ratios",
    of: (frame, i) => (frame.view[i] ? fifth(share(frame.view[i])) : null),
    legend(frame, open) {
      const torn = open.filter((i) => share(frame.view[i]) > 0.5).length;
      return [[0, "fits"], [2, "torn"], [4, `another fits better: ${torn} of ${open.length}`]];
    },
  },
};

"""The words of the synthetic data set: sixteen topics, their kinds, and what is said of them.

`TABLE` is written to be read.  A `#` line opens a topic; its name never reaches the text of an
item.  Every other line is one kind: domain | kind | shape, colour, accent of its picture | phrases,
each a different way to call it.  The four kinds of a domain stand in the loose order in which
people want them.  A `+` line holds related words for descriptions.  Few words come twice within a
topic, so that only a reader who knows what the words mean can see what belongs together.
Status: ours (nothing here is taken from a real catalogue).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of thing in one domain: what it is called and how it is drawn."""

    name: str
    shape: str
    colour: str
    accent: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """A latent topic, an occasion in the kitchen such as sushi night.

    kinds, related: by domain ("A" food, "B" kitchen), the kinds of things that belong to it and
    words for descriptions.
    """

    name: str
    kinds: dict[str, tuple[Kind, ...]]
    related: dict[str, tuple[str, ...]]


TABLE = """
# coffee morning
A | coffee beans | beans brown tan | dark Arabica beans; whole-bean Robusta; Sumatra medium roast; Ethiopian Yirgacheffe; Italian-style coffee
A | coffee pods | cup brown white | ristretto capsules; lungo pods; decaf cartridges; single-serve java cups; intenso portions
A | barista syrup | bottle amber brown | hazelnut latte syrup; vanilla pump for mochas; caramel macchiato sauce; gingerbread cappuccino flavoring; Irish cream creamer
A | coffee biscuits | roll tan brown | almond biscotti; cantuccini for dunking; chocolate-covered espresso drops; amaretti; speculoos for your cup
+A | espresso; cafe latte; americano; ristretto; cortado; crema; arabica; moka; java; drip coffee; French roast; affogato; a doppio; the cafe counter; pour-over; fresh grounds; Turkish coffee; cafe au lait
B | burr grinder | grinder gray brown | conical burr grinder; hand-cranked coffee mill; electric bean grinder; adjustable grind-size mill; ceramic burr hand mill
B | brewing machine | machine red gray | stovetop moka maker; pump-driven espresso maker; French press; pour-over dripper stand; lever brewer with group head
B | barista tools | cup gray black | spring-loaded tamper; bottomless portafilter; knock box; puck distribution needle tool; dosing funnel
B | milk frother | jug gray white | steaming pitcher; cappuccino frothing wand; latte-art jug; foam maker for macchiatos; demitasse pair with saucers
+B | cappuccino; mocha; macchiato; lungo; caffeine; cold brew; robusta; barista; a flat white; percolated cups; the coffeehouse; decaf; roasted beans; Aeropress; microfoam; a morning jolt; Vienna roast; cuppa joe
# baking day
A | bread flour | sack cream brown | strong wheat flour; stone-ground rye meal; whole spelt flour; high-gluten baker's flour; malted granary blend
A | yeast and starter | packet yellow red | instant dry yeast; dehydrated sourdough culture; fresh levain starter; diastatic malt powder; dough conditioner
A | bread seeds | bowl tan black | sunflower kernel topping for loaves; rolled oat crust mix; poppy grains for rolls; caraway for rye; everything-bagel sprinkle
A | bread mixes | loaf brown cream | ciabatta mix; pumpernickel kit; focaccia blend; no-knead boule premix; brioche base
+A | sourdough; ciabatta; brioche; challah; dinner rolls; yeast; dough; crusty bread; boules; fermentation; oven spring; milled flour; the boulangerie; bread pans; hearth baking; bagels; sandwich slices; spelt
B | proofing basket | basket tan cream | rattan banneton; oval proving basket; linen couche cloth; wood-pulp brotform; dough rising tub
B | dough tools | scraper gray tan | bench scraper; scoring lame with blades; Danish dough whisk; flexible bowl scraper; kneading mat
B | loaf pan | tin gray black | lidded Pullman tin; cast-iron Dutch oven for boules; perforated baguette tray; baking stone; sandwich-loaf pan
B | bread keeping | knife gray brown | serrated slicing knife; ventilated bread box; crumb-catching cutting board; bamboo slicing guide; linen loaf bag
+B | baguettes; focaccia; rye loaves; pumpernickel; kneading; proofing; levain; batards; whole wheat; crumb; gluten; multigrain toast; leavening; rustic miche; a floury bench; scored crust; poolish; autolyse
# sushi night
A | sushi rice | bowl black white | short-grain Japanese rice; Koshihikari; seasoned rice vinegar; Calrose sack; sticky grains for nigiri
A | nori | leaf green black | roasted seaweed sheets; yaki nori; kelp for dashi; hijiki flakes; soy wrappers for hand rolls
A | sushi sauces | bottle black red | tamari; dark shoyu; unagi glaze; ponzu; mirin
A | sushi sides | fish salmon green | wasabi paste; pickled gari ginger; tobiko roe; bonito flakes; furikake with sesame
+A | maki; sashimi; wasabi; raw tuna; miso; umami; edamame; bento; hamachi; unagi; onigiri; pickled ginger; sake; chirashi; Japanese cuisine; dashi; chopsticks; hosomaki
B | rolling mat | mat tan green | bamboo makisu; nigiri press; hand-roll former; bazooka roller for maki; onigiri mold
B | sushi knife | knife gray black | yanagiba slicer; sashimi blade; santoku; fish-bone tweezers; fillet knife with magnolia handle
B | rice tub | bowl tan brown | wooden hangiri; rice paddle; automatic rice steamer; shamoji and fan; rinsing bowl for short grain
B | sushi plates | chopsticks red black | lacquered chopsticks; soy dipping dishes; slate serving boards for nigiri; bento compartments; wasabi grater
+B | nigiri; temaki; nori; salmon rolls; Tokyo; uramaki; soy; omakase; teriyaki; seaweed; the itamae; tempura; California rolls; Osaka; inari; tobiko; izakaya; yellowtail
# cookout
A | barbecue rub | shaker red black | smoky brisket rub; Memphis dry seasoning; Montreal steak spice; chipotle pork rub; cedar-plank salmon seasoning
A | barbecue sauce | bottle red black | Kansas City BBQ sauce; Carolina mustard mop; bourbon rib glaze; hickory ketchup; Alabama white sauce
A | sausages and steak | sausage red brown | bratwurst links; dry-aged ribeye; hot dogs; burger patties; marinated chicken skewers
A | wood and smoke flavour | can brown red | liquid hickory smoke; apple-wood bacon jerky; mesquite marinade; corn relish for burgers; fire-roasted beans
+A | barbecue; ribs; smoked meat; hot dogs; pitmasters; searing steaks; hickory; grilled chicken; tailgates; flame-broiling; drumsticks; rotisserie; the smoker; T-bones; patio grilling; coals; bratwurst; sirloin
B | grill | grill black red | kettle charcoal barbecue; portable gas grill; pellet smoker; hibachi; cast-iron griddle grate
B | tongs and turner | tongs gray black | long-handled tongs; burger flipper; wire brush for grates; basting mop; rib rack
B | grilling thermometer | thermometer gray red | wireless meat probe; instant-read steak thermometer; smoker temperature gauge; pit-fan controller; heat-proof aramid gloves
B | charcoal and chips | grill gray brown | chimney starter; mesquite wood chips; cedar planks; lump-charcoal basket; metal kebab skewers
+B | brisket; charcoal; burgers; pulled pork; backyard BBQ; kebabs; mesquite; char; embers; sausages; wood smoke; burnt ends; short ribs; wings; tri-tip; backyard feasts; marinated skewers; spit roasting
# cocktail party
A | bitters | bottle brown amber | aromatic bitters; orange Angostura-style drops; blood-orange vermouth; celery tincture; sour-cherry liqueur essence
A | mixers | can blue white | Indian tonic water; ginger beer; club soda; tomato Bloody Mary mix; margarita mix
A | bar syrups | bottle pink red | grenadine; simple syrup; orgeat; elderflower cordial; agave nectar for drinks
A | garnishes | fruit red green | maraschino cherries; martini olives; dehydrated lime wheels; rimming salt; pearl onions for Gibsons
+A | gin; martinis; mojitos; negronis; rum; bourbon; Manhattans; cosmopolitans; mixology; liqueur; speakeasies; an old fashioned; bitters; mint juleps; Campari; a nightcap; spirits; pina coladas
B | shaker | shaker gray blue | Boston shaker; cobbler shaker; mixing glass with spout; insulated martini tumbler; dry-shake tin
B | jigger and bar tools | spoon gray amber | double jigger; twisted bar spoon; mint muddler; speed pourers; channel zester for twists
B | bar strainer | strainer gray blue | Hawthorne strainer; julep strainer; fine-mesh absinthe sieve; absinthe fountain; bottle opener and corkscrew
B | barware glasses | glass blue pink | coupe glasses; highball tumblers; sphere ice molds; margarita stems; whiskey rocks set
+B | vodka; margaritas; daiquiris; whiskey; tequila; highballs; spritzes; the bartender; happy hour; vermouth; aperitifs; punch bowls; sours; tiki drinks; absinthe; tonic; bellinis; gimlets
# pasta Sunday
A | durum flour | sack yellow white | tipo 00 flour; durum semolina; egg-dough blend; gnocchi potato flour; squid-ink powder for tagliatelle
A | dried pasta | noodle yellow tan | bronze-cut rigatoni; spaghetti; bucatini; pappardelle nests; orecchiette
A | tomato sauce | jar red green | San Marzano tomatoes; marinara; arrabbiata; basil pesto; slow-simmered bolognese
A | grating cheese and oil | cheese yellow cream | Parmigiano wedge; pecorino Romano; truffle oil; cacio e pepe blend; carbonara guanciale
+A | spaghetti; lasagna; fettuccine; gnocchi; bolognese; alfredo; al dente; ragu; rigatoni; semolina; the trattoria; tagliatelle; nonna; vermicelli; amatriciana; Bologna; puttanesca; primavera
B | pasta machine | roller gray red | hand-crank dough sheeter; lasagna roller; electric noodle extruder; spaghetti cutter attachment; vermicelli chitarra
B | ravioli tools | mold gray yellow | ravioli stamp; fluted pastry wheel; tortellini cutter; gnocchi board; cavatelli paddle
B | drying rack | rack tan brown | tagliatelle drying rack; collapsible fettuccine tree; beech mattarello; semolina dusting sifter; linguine hanger
B | boiling pot | pot gray red | multi-pot with colander insert; spaghetti server; spider skimmer; Parmesan rotary grater; lasagna baking dish
+B | ravioli; linguine; penne; marinara; carbonara; pesto; tortellini; macaroni; cannelloni; Italian cooking; Parmesan; noodles; orzo; pappardelle; manicotti; farfalle; cacio e pepe; tomato sugo
# pancake brunch
A | pancake mix | box yellow blue | buttermilk flapjack mix; Belgian waffle batter; buckwheat hotcake blend; silver-dollar griddle mix; crepe premix
A | maple syrup | bottle amber red | Vermont maple syrup; blueberry breakfast topping; Canadian amber grade; butter-pecan pour; birch syrup
A | bacon and eggs | egg yellow white | powdered whole eggs; turkey bacon; breakfast sausage crumbles; hash-brown shreds; dried scrambled eggs with chives
A | breakfast spreads | jar brown amber | cinnamon whipped butter; chocolate hazelnut spread; apple butter; clotted cream; honey butter
+A | waffles; hotcakes; crepes; bacon; scrambled eggs; brunch; buttermilk; sunny-side-up eggs; griddle cakes; Dutch babies; sausage patties; eggs Benedict; toast and jam; silver dollars; frittatas; Belgian waffles; fluffy stacks; porridge
B | griddle | pan black red | electric griddle; square skillet for flapjacks; crepe pan; aebleskiver pan; double-burner hot plate
B | waffle maker | waffle gray yellow | flip Belgian waffle iron; mini heart waffler; stovetop stroopwafel press; bubble-waffle maker; nonstick waffle baker
B | batter tools | whisk gray yellow | batter dispenser; balloon whisk; squeeze bottle for shapes; pitcher with pouring lip; crepe spreader and spatula
B | breakfast serving | egg white amber | syrup dispenser; egg poacher cups; bacon press; toast rack; bed tray for brunch
+B | flapjacks; maple; French toast; breakfast; syrup; omelets; short stacks; hash browns; blueberry pancakes; the diner; batter; oatmeal; breakfast in bed; blintzes; poached eggs; morning plates; home fries; bunny-shaped pancakes
# tea ceremony
A | green tea | leaf green tan | ceremonial matcha; sencha; gyokuro; dragonwell; roasted hojicha
A | black tea | can red black | Darjeeling first flush; smoky lapsang souchong; Earl Grey; Assam loose leaf; English afternoon sachets
A | herbal infusion | box green yellow | chamomile blossoms; rooibos; peppermint tisane; hibiscus infusion; jasmine oolong pearls
A | tea treats | roll cream red | butter shortbread; lavender honey sticks; scone mix; rock sugar; mochi sweets
+A | matcha; sencha; Darjeeling; steeping; green tea; Assam; infusions; teatime; loose leaves; herbal sips; tannins; brewed leaves; hojicha; lapsang; English breakfast; genmaicha; gunpowder green; hibiscus
B | teapot | kettle green tan | cast-iron tetsubin; glass teapot; Yixing clay pot; porcelain gaiwan; bone-china pot with cozy
B | kettle | kettle gray black | gooseneck kettle; whistling kettle; variable-temperature electric kettle; copper stovetop kettle; samovar
B | infuser | strainer gray green | mesh ball infuser; loose-leaf basket; sachet squeezer; bamboo chasen; long-handled matcha scoop
B | tea cups | cup green white | yunomi; chawan; saucer and cup pair; gong fu tasting set; caddy tin
+B | oolong; Earl Grey; chamomile; jasmine; chai; rooibos; Ceylon; bergamot; gyokuro; pu-erh; white peony; tisanes; Keemun; the tearoom; peppermint; orange pekoe; Nilgiri; scones at four
# preserving season
A | pectin and sugar | packet pink white | fruit pectin; low-sugar gelling powder; jam sugar; citric acid; ascorbic color keeper
A | pickling spice | jar green yellow | dill pickle seasoning; mustard and coriander brine mix; canning salt; white distilled vinegar; bread-and-butter relish kit
A | preserves | jar red pink | damson jam; Seville marmalade; quince jelly; rhubarb chutney; peach halves in syrup
A | ferments | jar orange red | Bavarian sauerkraut; kimchi; pickled beets; preserved Meyer lemons; gherkins
+A | pickles; jelly; marmalade; chutney; brine; kimchi; home canning; gherkins; apricots; fermenting cabbage; vinegar; compote; a water bath; plum harvest; berry picking; pressure canning; tomatoes put up; giardiniera
B | canning jars | jar blue gray | wide-mouth Mason jars; quilted jelly glasses; swing-top Weck jars; two-piece lids and bands; half-pint containers with gaskets
B | canner | pot blue black | water-bath canner; pressure canner; enameled stockpot with rack; steam canner; copper jam pan
B | canning tools | tongs gray green | jar lifter; magnetic lid wand; wide-mouth funnel; headspace bubble remover; candy and jam thermometer
B | crock | jug tan brown | stoneware fermenting crock; airlock lids; glass pickle weights; cabbage shredder; cherry pitter
+B | jam; canning; sauerkraut; preserves; Mason jars; relish; fruit butter; pickling; pectin; sealed lids; cucumbers; dill; jarred peaches; the pantry cellar; conserves; piccalilli; strawberry spread; preserved lemons
# fitness week
A | protein powder | can black blue | whey isolate; vegan pea protein; casein night shake; collagen peptides; soy meal-replacement powder
A | superfoods | packet green yellow | spirulina; acai puree; chia seeds; wheatgrass powder; maca root
A | frozen fruit | fruit orange yellow | mango chunks; freeze-dried strawberries; wild blueberries; banana coins; pineapple tidbits
A | fitness drinks | bottle green blue | coconut water; electrolyte tablets; almond milk; pre-workout powder; oat kefir
+A | protein shakes; the gym; muscle; whey; post-run recovery; weightlifting; macros; CrossFit; healthy living; creatine; cardio; nutrition; detox; athletes; wellness; shakes; endurance; hydration
B | blender | blender gray green | high-speed blender; personal bullet blender; USB travel blender; immersion stick; countertop pulverizer with tamper
B | juicer | machine orange gray | cold-press juicer; citrus reamer; centrifugal extractor; nut-milk bag; wheatgrass press
B | shaker bottle | bottle blue black | gym shaker with wire ball; insulated sports bottle; leakproof protein tumbler; fruit-infuser flask; powder funnel keychain
B | straws and cups | glass green orange | reusable wide straws; lidded go-cups; kitchen scale for macros; ice-crushing tray; freezer pouches for produce
+B | workouts; smoothies; vitamins; bodybuilding; amino acids; green juice; marathon training; kale blends; energy; electrolytes; acai; antioxidants; squats; lean gains; yoga; spinach juice; sports; personal trainers
# camping trip
A | freeze-dried meals | packet orange green | freeze-dried stew; backpacker's chili mac; just-add-water lasagna; dehydrated beef stroganoff; emergency ration pouches
A | trail mix | bowl brown yellow | trail mix; beef jerky; oat energy bars; mountain granola; pemmican
A | campfire sweets | candy white brown | jumbo marshmallows; graham crackers for s'mores; instant hot cocoa; foil banana boats kit; roasting-stick chocolate squares
A | camp tins | can green gray | canned baked beans; tinned sardines; corned beef hash; shelf-stable biscuits; powdered milk
+A | hiking; tents; wilderness; scouts; campsites; outdoors; sleeping bags; national parks; trekking; lanterns; base camp; kayaks; fishing trips; RV travel; expeditions; bushcraft; wild rivers; thru-hikers
B | camp stove | stove red gray | backpacking canister stove; two-burner propane range; alcohol spirit burner; twig-fed rocket stove; folding windscreen
B | mess kit | pan gray green | titanium cook pot; nesting mess kit; enamel mug; bail-handle billy can; collapsible silicone kettle
B | camp cutlery | fork gray orange | titanium spork; extending marshmallow forks; pocket multi-tool; folding chef blade; waterproof match case
B | cooler and water | cooler blue white | hard-sided ice chest; water purifier straw; five-gallon jerrican; campfire tripod; pie iron
+B | backpacking; the campfire; trails; the backcountry; s'mores; mountaineers; survival; canoeing; the summit; hunters; bonfires; the Appalachian; bivouacs; rucksacks; forest nights; overlanding; glamping; alpine huts
# birthday cake
A | cake mix | box pink blue | yellow layer-cake mix; red velvet batter; confetti sponge; angel-food premix; devil's-food cupcakes
A | frosting | can pink white | buttercream; royal icing powder; rolled fondant; cream-cheese frosting; whipped ganache
A | sprinkles | shaker pink yellow | rainbow nonpareils; edible glitter; silver dragees; sanding sugar; chocolate jimmies
A | cake toppers | cake pink blue | sugar numerals; gel food coloring; candy eyes; gum-paste roses; edible-ink letters
+A | cupcakes; birthdays; fondant; sprinkles; layer cakes; cake decorating; sponge; wedding cakes; balloons; the pastry chef; decorators; kids' parties; sugar flowers; first birthdays; desserts; baby showers; macarons; chiffon
B | cake pan | tin pink gray | springform pan; Bundt mold; round layer tins; numeral-shaped pan; mini muffin tray
B | piping set | piping blue white | piping bags with star tips; icing couplers; cookie-press decorator; fondant smoother; modelling tools for gum paste
B | turntable | stand white pink | rotating decorating stand; offset palette knife; layer leveler; side-scraper combs; tiered cupcake tower
B | party candles | candle pink yellow | glitter candles; cake dome with carrier; paper baking cups; scalloped pedestal; sparkler fountain
+B | frosting; candles; icing; buttercream; piped rosettes; party hats; tiered cakes; ganache; red velvet; cake pops; confetti; unicorn cakes; anniversaries; celebration; marzipan; gingerbread houses; gum paste; bakeries
# curry night
A | curry spices | shaker orange red | garam masala; turmeric; Kashmiri chili; cumin and fenugreek; tandoori seasoning
A | curry paste | jar orange brown | Thai green paste; vindaloo base; korma simmer sauce; rogan josh; massaman concentrate
A | lentils and rice | bowl orange yellow | aged basmati; red masoor dal; chana chickpeas; toor lentils; jasmine grains
A | naan and chutney | tortilla cream brown | garlic naan; pappadums; mango chutney; lime achar; ghee
+A | masala; vindaloo; dal; turmeric; tandoori; basmati; cardamom; Indian food; ghee; coriander; dosas; raita; fenugreek; saag; pakoras; garam; butter chicken; jalfrezi
B | karahi | pan brown amber | hammered karahi; tawa; carbon-steel wok; balti dish pair; appam pan
B | spice box | tin gray orange | masala dabba; brass spice canisters; cardamom crusher; nutmeg and turmeric grater; labelled seasoning drawer set
B | mortar | mortar gray brown | granite mortar and pestle; wet grinder for dosa; electric chutney mill; suribachi; stone sil batta
B | curry serving | bowl amber red | copper handi; thali platter set; idli steamer; biryani pot; tiffin carrier
+B | tikka; biryani; naan; korma; cumin; paneer; chutney; Mumbai; samosas; rogan josh; Madras; Kerala; Punjab; coconut curry; Bengal; chapati; lentils; thali
# fondue evening
A | fondue cheese | cheese amber yellow | Gruyere block; Emmental; ready-to-melt Swiss blend; raclette slices; Vacherin
A | crackers and bread cubes | box tan red | water crackers; rosemary flatbread; crusty dipping cubes; seeded crispbread; grissini
A | charcuterie | sausage salmon cream | prosciutto; Genoa salami; soppressata; cornichons; duck rillettes
A | cheese companions | jar purple amber | fig spread; acacia honeycomb; quince membrillo; Marcona almonds; dipping chocolate
+A | Gruyere; brie; raclette; gouda; cheddar; Roquefort; the cheesemonger; Alpine dairy; goat cheese; blue veins; Vacherin; Stilton; antipasti; Havarti; Savoy; cheese boards; salami; Appenzeller
B | fondue pot | pot red amber | ceramic caquelon; electric fondue set; butter-melting tealight warmer; raclette grill; enameled chocolate melter
B | fondue forks | fork gray red | color-coded dipping forks; raclette scrapers; party picks; lazy-susan sauce ring; gel-fuel burner
B | cheese board | board tan amber | acacia charcuterie board; slate platter with chalk; marble serving slab; glass cloche; live-edge wood plank
B | cheese knives | knife gray amber | soft-brie knife; wire slicer; Parmesan spade; cheddar plane; girolle curler
+B | Emmental; camembert; melted cheese; charcuterie; Swiss chalets; wine and cheese; fondue; kirsch; Manchego; prosciutto; gooey dips; Comte; rind; cured meats; Fontina; Munster; curds; feta cubes
# salad lunch
A | salad greens | leaf green cream | baby arugula; romaine hearts; kale crunch kit; watercress; mesclun
A | dressing | bottle green yellow | balsamic vinaigrette; Caesar dressing; buttermilk ranch; green goddess; extra-virgin olive oil
A | salad toppings | bowl green red | garlic croutons; candied walnuts; pepitas; bacon bits; sun-dried tomatoes
A | grains and beans | can tan green | quinoa; marinated artichokes; hearts of palm; Kalamata olives; wheat berries for bowls
+A | lettuce; vinaigrette; romaine; coleslaw; cucumbers; kale; balsamic; Nicoise; cabbage slaw; raw vegetables; watercress; the salad bar; iceberg; endive; garden herbs; Waldorf; light lunches; frisee
B | salad spinner | spinner green white | pull-cord spinner; lettuce crisper; herb drying basket; colander for greens; produce wash tub
B | salad bowl | bowl tan green | olive-wood tossing bowl; servers with long handles; glass trifle-size mixing dish; chilled buffet bowl; leaf-shaped plates
B | vegetable slicer | scraper green gray | mandoline; cucumber spiralizer; tomato knife; julienne peeler; lettuce chopper
B | dressing maker | bottle yellow gray | oil-and-vinegar cruets; vinaigrette emulsifier; lunch container with dressing cup; garlic press; herb shears
+B | arugula; Caesar; spinach; croutons; leafy greens; Cobb; radishes; tomatoes; ranch; chopped salads; crudites; avocado; tabbouleh; mesclun; celery; olive oil; shredded carrots; microgreens
# taco fiesta
A | tortillas | tortilla yellow tan | corn tortillas; nixtamal masa harina; crunchy shells; flour burrito wraps; blue-maize chips
A | salsa | jar red orange | salsa verde; fire-roasted pico; guacamole; mole poblano; chipotle in adobo
A | chiles | chili red green | dried ancho; jalapeno slices; habanero hot sauce; guajillo pods; serrano powder
A | taco fillings | can red yellow | refried pinto beans; carnitas; barbacoa seasoning; queso dip; achiote paste
+A | burritos; guacamole; enchiladas; tortillas; jalapenos; nachos; Mexican food; Oaxaca; mole; pico de gallo; masa; habanero; churros; chimichangas; pozole; Jalisco; elote; Cinco de Mayo
B | tortilla press | press gray red | cast-iron tortilladora; comal; masa scoop; flour-wrap dough press; tamale steamer
B | tortilla warmer | basket red yellow | insulated tortilla pouch; terracotta keeper; woven cloth-lined basket; chip-and-dip platter; enchilada baker
B | molcajete | mortar gray red | lava-rock molcajete; avocado tool; lime squeezer; salsa chopper; molinillo
B | taco holders | rack red yellow | taco stand; shell-shaping fryer clamp; fajita sizzler; condiment caddy for fillings; chile roasting rack
+B | salsa; tacos; quesadillas; fajitas; carnitas; tamales; cilantro; queso; chipotle; taquerias; refried beans; tostadas; Tex-Mex; Baja; al pastor; ancho; barbacoa; salsa verde
"""  # noqa: E501 - a table with one line a kind


def read_topics(table: str = TABLE) -> tuple[Topic, ...]:
    """The topics of a word table.

    Raises:
        ValueError: A line does not have one of the three forms; the message names it.
    """
    topics: list[Topic] = []
    for number, line in enumerate(table.strip().splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("|")]
        drawn = cells[2].split() if len(cells) == 4 else []
        if line.startswith("# "):
            topics.append(Topic(line[2:].strip(), {"A": (), "B": ()}, {}))
        elif len(cells) == 2 and cells[0] in ("+A", "+B"):
            topics[-1].related[cells[0][1]] = _split(cells[1])
        elif cells[0] in ("A", "B") and len(drawn) == 3:
            shape, colour, accent = drawn
            kind = Kind(cells[1], shape, colour, accent, _split(cells[3]))
            topics[-1].kinds[cells[0]] += (kind,)
        else:
            raise ValueError(
                f"vocabulary.TABLE, line {number}: expected '# topic', 'A | kind | shape colour "
                f"accent | phrases' or '+A | words', found {line!r}; correct that line"
            )
    return tuple(topics)


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


# Brands, makers' words and everyday praise: all topics share them, so they say nothing about any.
BRANDS = {
    "A": (
        "Harrow & Finch",
        "Bluebarn",
        "Oldmill Lane",
        "Tansy",
        "Pebble Creek",
        "Marlowe",
        "Greta's",
        "Northfold",
        "Saltwhistle",
        "Quill Farm",
    ),
    "B": (
        "Ostrava",
        "Kettering",
        "Lumen & Oak",
        "Brightside",
        "Halvard",
        "Copperline",
        "Nimbus",
        "Pinewick",
        "Stellan",
        "Ardmore",
    ),
}
MODIFIERS = {
    "A": (
        "organic",
        "small-batch",
        "premium",
        "all-natural",
        "gluten-aware",
        "traditional",
        "gourmet",
        "classic",
        "unsalted",
        "fair-trade",
        "reserve",
        "old-fashioned",
    ),
    "B": (
        "heavy-duty",
        "compact",
        "professional",
        "dishwasher-safe",
        "nonslip",
        "hand-finished",
        "classic",
        "lightweight",
        "deluxe",
        "everyday",
        "stackable",
        "commercial",
    ),
}
SIZES = {
    "A": (
        "8 oz",
        "12 oz",
        "1 lb",
        "pack of 3",
        "pack of 6",
        "family size",
        "2 x 250 g",
        "sampler",
        "16 oz",
        "case of 12",
    ),
    "B": (
        "small",
        "medium",
        "large",
        "set of 2",
        "set of 4",
        "10-inch",
        "2-quart",
        "gift boxed",
        "3-piece",
        "extra large",
    ),
}


# Sentences about the topic; {x} and {y} are related words.  Short, so that no run of five words
# repeats often.
HINTS = (
    "Think {x}, think {y}.",
    "Best with {x} and {y}.",
    "For {x}, or {y}.",
    "Made for {x} and for {y}.",
    "When {x} calls, or {y}.",
    "{x}? Yes. {y}? Also.",
    "Brings {x} and {y} home.",
    "Hints of {x}, dreams of {y}.",
    "Goes beyond {x} and {y}.",
    "A friend of {x} and {y}.",
    "Fans of {x} and {y} agree.",
    "Ready for {x} or {y}.",
    "Where {x} meets {y}.",
    "Inspired by {x}; at ease with {y}.",
    "Nothing says {x} or {y} better.",
    "Speaks fluent {x} and {y}.",
    "Ideal for {x}, {y} and more.",
    "For {x} people, and {y} people.",
    "Our answer to {x} and {y}.",
    "Turns {x} and {y} into a habit.",
    "With {x} and {y} in mind.",
    "All about {x}; a little about {y}.",
    "Perfect next to {x} and {y}.",
    "{x}, {y}: you know.",
)


# Praise in three short pieces: no piece has five words, so that no run of five words repeats often.
PRAISE = {
    "A": (
        (
            "Packed",
            "Sealed",
            "Sorted",
            "Selected",
            "Sourced",
            "Prepared",
            "Checked",
            "Stored",
            "Blended",
            "Bottled or bagged",
        ),
        (
            "by hand",
            "in small lots",
            "every Thursday",
            "near the coast",
            "under cool air",
            "with great care",
            "by a family firm",
            "without additives",
            "at the mill",
            "in our own hall",
            "twice a month",
            "since 1968",
        ),
        (
            "for full taste",
            "and shipped quickly",
            "to keep it fresh",
            "with no artificial color",
            "so nothing is lost",
            "in recycled paper",
            "and labelled by date",
            "for picky eaters",
            "with a resealable top",
            "as it should be",
            "for a generous pantry",
            "and honest in price",
        ),
    ),
    "B": (
        (
            "Built",
            "Shaped",
            "Finished",
            "Tested",
            "Polished",
            "Designed",
            "Assembled",
            "Weighted",
            "Balanced",
            "Engineered",
        ),
        (
            "to last",
            "by one workshop",
            "for tight cupboards",
            "with rounded corners",
            "from solid stock",
            "for both hands",
            "in two colors",
            "without sharp seams",
            "for daily duty",
            "on sturdy feet",
            "with a soft grip",
            "in simple lines",
        ),
        (
            "and easy to rinse",
            "under long warranty",
            "and quiet in use",
            "so it never slips",
            "with spare parts included",
            "for any drawer",
            "and pleasant to hold",
            "with clear markings",
            "and safe when hot",
            "for gift givers too",
            "and quick to assemble",
            "with no rust",
        ),
    ),
}
UNINFORMATIVE = (
    "Model {n}",
    "No. {n} {m}",
    "Series {l}, {s}",
    "Type {l}{n}",
    "The {n} {s}",
    "Item {n}-{l}",
    "{l}{n} {m}",
    "Edition {n}, {s}",
    "Lot {n} {s}",
    "{l}-line {m} {n}",
)
